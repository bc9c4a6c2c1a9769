// A question and its state in, the controls that change the state and ask for a new drawing out.
"use strict";
const controls = (() => {
  const { element } = parts;
  let sets = 0;
  const swatch = (model) => {
    const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    icon.setAttribute("viewBox", "-12 -7 24 14");
    icon.setAttribute("width", "24");
    icon.setAttribute("aria-hidden", "true");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    const paths = {
      circle: "M-4.5,0a4.5,4.5 0 1,0 9,0a4.5,4.5 0 1,0 -9,0",
      square: "M-4-4H4V4H-4Z",
      diamond: "M0-5.5 5 0 0 5.5-5 0Z",
      "triangle-up": "M0-5 5 4H-5Z",
      "triangle-down": "M0 5 5-4H-5Z",
      cross: "M-1.7-5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5V-1.7H-1.7Z",
    };
    path.setAttribute("d", paths[model.shape]);
    path.setAttribute("fill", model.colour);
    const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    line.setAttribute("d", "M-12 0H12");
    line.setAttribute("stroke", model.colour);
    line.setAttribute("stroke-width", "1.6");
    if (model.dash) line.setAttribute("stroke-dasharray", "5 1.5 1 1.5");
    icon.append(line, path);
    return icon;
  };
  const check = (text, checked, change, icon) => {
    const box = element("input", { type: "checkbox", checked });
    box.addEventListener("change", () => change(box.checked));
    return element("label", {}, box, ...(icon ? [icon] : []), text);
  };
  const choice = (name, options, chosen, change) => {
    const set = element("fieldset", { className: "choice" }, element("legend", { textContent: name }));
    const id = `choice-${++sets}`;
    for (const [value, text] of options) {
      const radio = element("input", { type: "radio", name: id, value, checked: value === chosen });
      radio.addEventListener("change", () => change(value));
      set.append(element("label", {}, radio, text));
    }
    return set;
  };

  function controls(section, group, state, redraw) {
    const bar = section.querySelector(".controls");
    const models = element("fieldset", { className: "models" }, element("legend", { textContent: "Show" }));
    for (const [family, label] of Object.entries(group.families)) {
      const own = group.models.filter((m) => m.family === family);
      const boxes = own.map((model) =>
        check(
          model.model,
          true,
          (on) => {
            state.models[on ? "add" : "delete"](model.model);
            if (all) all.querySelector("input").checked = own.some((m) => state.models.has(m.model));
            redraw();
          },
          swatch(model),
        ),
      );
      const all = check(`all ${label}s`, true, (on) => {
        own.forEach((m, i) => {
          state.models[on ? "add" : "delete"](m.model);
          boxes[i].querySelector("input").checked = on;
        });
        redraw();
      });
      all.dataset.family = family;
      models.append(all, ...boxes);
    }
    models.append(
      check("bands", true, (on) => {
        state.bands = on;
        redraw();
      }),
    );
    if (group.runs.some((run) => !run.fitted))
      models.append(
        check("runs of other learning rates", state.others, (on) => {
          state.others = on;
          redraw();
        }),
      );
    bar.append(models);
    const unique = (key) => [...new Map(group.views.map((v) => [v[key], v])).values()];
    const short = {
      test_error: "error",
      test_balanced_error: "balanced error",
      test_loss: "loss",
      train_size: "data",
      train_flops: "FLOPs",
      train_seconds: "seconds",
      seen_examples: "examples seen",
    };
    for (const [key, title] of [
      ["metric", "Up"],
      ["axis", "Across"],
    ])
      if (unique(key).length > 1)
        bar.append(
          choice(
            title,
            unique(key).map((v) => [v[key], short[v[key]] ?? v[key]]),
            state[key],
            (value) => {
              state[key] = value;
              redraw(true);
            },
          ),
        );
    for (const [key, title] of [
      ["xLog", "Across"],
      ["yLog", "Up"],
    ])
      bar.append(
        choice(
          `${title}, scale`,
          [
            ["log", "log"],
            ["linear", "linear"],
          ],
          "log",
          (value) => {
            state[key] = value === "log";
            redraw();
          },
        ),
      );
  }

  return controls;
})();
