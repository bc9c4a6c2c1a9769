// The panels behind the curves, as Vega-Lite specifications: residuals, learning rates, parameters.
"use strict";
const panelPlots = (() => {
  const { exact, layer, NAMES, narrow, plain, quantity, say, three } = parts;
  const SHADES = 8;

  function residuals(group, view, state) {
    const looks = new Map(group.models.map((m) => [m.model, m]));
    const shown = [...new Set(view.residuals.map((r) => r.model))];
    const rows = view.residuals
      .filter((r) => state.models.has(r.model))
      .map((r) => ({
        ...r,
        ...looks.get(r.model),
        x: r.x * Math.exp(0.05 * (shown.indexOf(r.model) - (shown.length - 1) / 2)),
        says: [
          r.model,
          `at ${say(r.x)} ${NAMES[view.axis] ?? view.axis}, ${r.runs} run${r.runs === 1 ? "" : "s"}`,
          `measured / fitted ${three.format(r.ratio)} (${three.format(r.ratio_low)} to ${three.format(r.ratio_high)})`,
        ],
      }));
    const sizes = view.residuals.map((r) => r.x);
    const x = quantity("x", view.axis_label, [Math.min(...sizes) / 1.3, Math.max(...sizes) * 1.3], true, "~s");
    const ends = view.residuals.flatMap((r) => [r.ratio_low, r.ratio_high]).concat(1);
    const y = quantity(
      "ratio",
      "measured / fitted",
      [Math.min(...ends) - 0.01, Math.max(...ends) + 0.01],
      false,
      ".3~r",
    );
    return {
      width: "container",
      height: 220,
      description: "residuals",
      layer: [
        layer([{ ratio: 1 }], { type: "rule", color: "var(--ink)" }, { y }),
        layer(
          rows,
          { type: "rule", strokeWidth: 1.5 },
          { x, y: { ...y, field: "ratio_low" }, y2: { field: "ratio_high" }, color: plain("colour") },
        ),
        layer(
          rows,
          { type: "point", filled: true, size: 50, opacity: 1, tooltip: { content: "data" } },
          { x, y, color: plain("colour"), shape: plain("shape") },
        ),
      ],
    };
  }

  const bySize = (sizes) => ({
    field: "size",
    type: "ordinal",
    title: "n",
    sort: null,
    scale: {
      domain: sizes.map((s) => exact.format(s)),
      range: sizes.map(
        (_, i) => `var(--s${sizes.length < 2 ? 0 : Math.round((i * (SHADES - 1)) / (sizes.length - 1))})`,
      ),
    },
  });

  function grid(group, own) {
    const sizes = own.sizes.map((s) => s.size),
      all = own.sizes.flatMap((s) => s.lr),
      values = own.sizes.flatMap((s) => s.val);
    const lines = own.sizes.flatMap((s) =>
      s.lr.map((lr, i) => ({
        lr,
        val: s.val[i],
        size: exact.format(s.size),
        chosen: lr === s.chosen,
        says: [
          own.model,
          `${exact.format(s.size)} training images`,
          `learning rate ${lr}${lr === s.chosen ? ", chosen" : ""}`,
          `validation error ${three.format(s.val[i])}`,
        ],
      })),
    );
    const runs = [];
    group.runs.forEach((run, i) => {
      if (run.model === own.model && sizes.includes(run.train_size) && run.val_error !== undefined)
        runs.push({ lr: run.lr, val: run.val_error, size: exact.format(run.train_size), run: i });
    });
    const least = Math.min(...values.filter((v) => v > 0), ...runs.map((r) => r.val).filter((v) => v > 0));
    const x = { ...quantity("lr", "learning rate", [Math.min(...all) / 1.3, Math.max(...all) * 1.3], true, ".3~g") };
    Object.assign(x.axis, { values: [...new Set(all)].sort((a, b) => a - b), labelAngle: -35, labelOverlap: false });
    const y = quantity(
      "val",
      "validation error",
      [least / 1.2, Math.max(...values, ...runs.map((r) => r.val)) * 1.15],
      true,
      ".3~r",
    );
    const color = bySize(sizes);
    return {
      width: "container",
      height: 230,
      title: { text: own.model, color: "var(--ink)", fontSize: 13, fontWeight: "normal" },
      description: `learning rates of ${own.model}`,
      layer: [
        layer(
          runs,
          { type: "point", filled: true, size: 16, opacity: 0.7, tooltip: { content: "data" } },
          { x, y, color },
        ),
        layer(lines, { type: "line", strokeWidth: 1.5 }, { x, y, color }),
        layer(
          lines,
          { type: "point", filled: true, size: 36, opacity: 1, tooltip: { content: "data" } },
          { x, y, color },
        ),
        layer(
          lines.filter((l) => l.chosen),
          { type: "point", size: 190, strokeWidth: 2, opacity: 1 },
          { x, y, color },
        ),
      ],
    };
  }

  function parameters(group, view, state) {
    const looks = new Map(group.models.map((m) => [m.model, m])),
      rows = [],
      means = new Map();
    group.runs.forEach((run, i) => {
      const size = run[group.size_axis];
      if (!run.fitted || run.num_params === undefined || !(run[view.metric] > 0) || !state.models.has(run.model))
        return;
      rows.push({
        x: run.num_params,
        y: run[view.metric],
        size: exact.format(size),
        n: size,
        run: i,
        shape: looks.get(run.model).shape,
      });
      const key = `${looks.get(run.model).family} ${size} ${run.num_params}`;
      means.set(key, [...(means.get(key) ?? []), rows.at(-1).y]);
    });
    const sizes = [...new Set(rows.map((r) => r.n))].sort((a, b) => a - b);
    const lines = [...means].map(([key, values]) => {
      const [family, n, x] = key.split(" ");
      return { family, size: exact.format(Number(n)), x: Number(x), y: values.reduce((a, b) => a + b) / values.length };
    });
    const xs = rows.map((r) => r.x),
      ys = rows.map((r) => r.y);
    const x = quantity("x", "parameters", [Math.min(...xs, 1e9) / 1.6, Math.max(...xs, 1) * 1.6], true, "~s");
    const y = quantity("y", view.metric_label, [Math.min(...ys, 1) / 1.2, Math.max(...ys, 1e-6) * 1.2], true, ".3~r"),
      color = bySize(sizes);
    return {
      width: "container",
      height: narrow() ? 260 : 300,
      description: "error against parameters",
      layer: [
        layer(lines, { type: "line", strokeWidth: 1.5 }, { x, y, color, detail: { field: "family" } }),
        layer(
          rows,
          { type: "point", filled: true, size: 50, opacity: 0.9, tooltip: { content: "data" } },
          { x, y, color, shape: plain("shape") },
        ),
      ],
    };
  }

  return { grid, parameters, residuals };
})();
