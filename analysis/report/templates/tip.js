// The box beside the pointer that says which run a point is.
"use strict";
const tip = (() => {
  const { element, exact, say, three } = parts;
  // The tooltip stays while the pointer is on it, so that its link can be reached; a click on a point keeps it.
  const box = element("div", { className: "tip", hidden: true });
  document.body.append(box);
  let kept = false,
    leaving = 0;
  const hide = () => {
    box.hidden = true;
    kept = false;
  };
  const show = (event, lines, url) => {
    clearTimeout(leaving);
    box.replaceChildren(...lines.map((line, i) => element(i ? "div" : "strong", { textContent: line })));
    if (url)
      box.append(
        element("a", { href: url, target: "_blank", rel: "noopener noreferrer", textContent: "its W&B page" }),
      );
    box.hidden = false;
    const left = Math.min(event.clientX + 12, document.documentElement.clientWidth - box.offsetWidth - 8);
    const below = event.clientY + 12 + box.offsetHeight < window.innerHeight;
    box.style.left = `${Math.max(4, left) + window.scrollX}px`;
    box.style.top = `${event.clientY + window.scrollY + (below ? 12 : -12 - box.offsetHeight)}px`;
  };
  box.addEventListener("pointerenter", () => clearTimeout(leaving));
  box.addEventListener("pointerleave", () => {
    if (!kept) hide();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
  });
  document.addEventListener("click", (event) => {
    if (kept && !box.contains(event.target) && !event.target.closest("svg")) hide();
  });
  const describe = (run) => {
    const lines = [run.model];
    if (run.train_size !== undefined) lines.push(`${exact.format(run.train_size)} training images`);
    const details = [];
    if (run.seed !== undefined) details.push(`seed ${run.seed}`);
    if (run.subset_seed !== undefined) details.push(`subset ${run.subset_seed}`);
    if (run.lr !== undefined) details.push(`learning rate ${run.lr}`);
    if (details.length) lines.push(details.join(", "));
    for (const key of ["test_error", "test_balanced_error", "val_error", "train_error", "test_loss"])
      if (run[key] !== undefined) lines.push(`${key.replaceAll("_", " ")} ${three.format(run[key])}`);
    if (run.num_params !== undefined) lines.push(`${say(run.num_params)} parameters`);
    if (run.train_seconds !== undefined)
      lines.push(
        `${say(run.train_seconds)} s` + (run.train_flops === undefined ? "" : `, ${say(run.train_flops)} FLOPs`),
      );
    if (!run.fitted) lines.push("not fitted: another learning rate was chosen");
    if (run.name !== undefined) lines.push(run.name);
    return lines;
  };

  // What vega-embed calls when the pointer comes upon a mark, or leaves it (no value).
  const handler = (runs) => (_, event, item, value) => {
    if (kept) return;
    if (!value) leaving = setTimeout(hide, 250);
    else if (value.run !== undefined) show(event, describe(runs[value.run]), runs[value.run].url);
    else if (value.says) show(event, value.says);
  };
  const keep = (runs) => (event, item) => {
    hide();
    const run = runs[item?.datum?.run];
    if (!run) return;
    show(event, describe(run), run.url);
    kept = true;
  };

  return { handler, hide, keep };
})();
