// A view of a question and what is chosen on the page in, the Vega-Lite specifications of its curves and their gap out.
"use strict";
const curvePlots = (() => {
  const { layer, marks, NAMES, narrow, plain, quantity, reachOf, say, three } = parts;

  function curves(group, view, state, compact) {
    const on = group.models.filter((m) => state.models.has(m.model));
    const byName = new Map(on.map((m) => [m.model, m]));
    const points = [],
      rest = [];
    group.runs.forEach((run, i) => {
      const model = byName.get(run.model),
        x = run[view.axis],
        y = run[view.metric];
      if (model && x > 0 && y !== undefined && (run.fitted || state.others))
        (run.fitted ? points : rest).push({ x, y, run: i, colour: model.colour, shape: model.shape });
    });
    const positive = [...points, ...rest].map((p) => p.y).filter((y) => y > 0);
    const floor = positive.length ? Math.min(...positive) : 1e-4;
    for (const point of [...points, ...rest]) if (state.yLog && point.y <= 0) point.y = floor / 2; // no error at all: below the rest
    const inside = [],
      beyond = [],
      bands = [];
    const xDomain = reachOf(view, state.xLog);
    for (const line of view.lines) {
      const model = byName.get(line.model);
      if (!model) continue;
      line.x.forEach((x, i) => {
        const row = { x, y: line.y[i], low: line.low[i], high: line.high[i], colour: model.colour, dash: model.dash, model: line.model };
        if (x <= line.last * 1.0001) inside.push(row);
        if (x >= line.last * 0.999) beyond.push(row);
        bands.push(row);
      });
    }
    // Starts that saw no image have no place on the axis: a line across it for each model.
    const bare = view.untrained
      .filter((start) => byName.has(start.model) && start.y !== null)
      .map((start) => ({
        ...start,
        x: xDomain[0],
        colour: byName.get(start.model).colour,
        text: `${start.model}, untrained`,
        says: [`${start.model}, untrained`, `${view.metric}: ${three.format(start.y)}`],
      }));
    const seen = [...points, ...rest, ...bare]
      .map((p) => p.y)
      .concat(bands.filter((b) => b.x <= xDomain[1]).map((b) => b.y));
    const top = Math.max(...seen, 1e-6),
      least = Math.max(Math.min(...seen.filter((v) => v > 0), top), floor / 6);
    const yDomain = view.better === "higher"
      ? [least * 0.95, top * 1.02]
      : state.yLog
      ? [least / 1.25, Math.min(top * 1.2, view.kind === "error" ? Math.max(1, top) : Infinity)]
      : [0, top * 1.05];
    const x = quantity("x", compact ? null : view.axis_label, xDomain, state.xLog, "~s"),
      y = quantity("y", compact ? null : view.metric_label, yDomain, state.yLog, ".3~r");
    const colour = plain("colour"),
      line = { type: "line", clip: true },
      size = compact ? 18 : 55;
    const layers = marks(view, xDomain, x);
    if (state.bands)
      layers.push(
        layer(
          bands,
          { type: "area", clip: true, opacity: 0.16 },
          { x, y: { ...y, field: "low" }, y2: { field: "high" }, color: colour, detail: { field: "model" } },
        ),
      );
    for (const dash of new Set(inside.map((row) => row.dash))) {
      const rows = inside.filter((row) => row.dash === dash);
      const look = { ...line, strokeWidth: 2, ...(dash ? { strokeDash: [7, 2, 1.5, 2] } : {}) };
      layers.push(layer(rows, look, { x, y, color: colour, detail: { field: "model" } }));
    }
    layers.push(
      layer(
        beyond,
        { ...line, strokeWidth: 1.5, strokeDash: [6, 4] },
        { x, y, color: colour, detail: { field: "model" } },
      ),
    );
    if (bare.length) {
      const rule = { type: "rule", clip: true, strokeWidth: 1.5, strokeDash: [1.5, 3], tooltip: { content: "data" } };
      layers.push(layer(bare, rule, { y, color: colour }));
      const words = { type: "text", align: "left", dx: 6, dy: -6, fontSize: 11, clip: true };
      if (!compact) layers.push(layer(bare, words, { x, y, color: colour, text: { field: "text" } }));
    }
    if (!compact)
      layers.push(
        layer(
          rest,
          { type: "point", clip: true, size: 28, opacity: 0.65, tooltip: { content: "data" } },
          { x, y, color: colour, shape: plain("shape") },
        ),
      );
    layers.push(
      layer(
        points,
        { type: "point", clip: true, filled: true, size, opacity: 0.85, tooltip: { content: "data" } },
        { x, y, color: colour, shape: plain("shape") },
      ),
    );
    return {
      width: "container",
      height: compact ? 170 : narrow() ? 300 : 400,
      description: `${view.metric_label} against ${view.axis_label}`,
      layer: layers,
    };
  }

  function gap(group, view, state) {
    const xDomain = reachOf(view, state.xLog),
      rows = view.gap.x.map((x, i) => ({ x, y: view.gap.y[i], low: view.gap.low[i], high: view.gap.high[i] }));
    const near = rows.filter((r) => r.x <= xDomain[1]);
    const low = Math.min(...near.map((r) => Math.max(r.low, r.y / 3)), 0.95),
      high = Math.max(...near.map((r) => Math.min(r.high, r.y * 3)), 1.05);
    const domain = state.yLog ? [low / 1.05, high * 1.05] : [0, high * 1.05];
    const x = quantity("x", view.axis_label, xDomain, state.xLog, "~s"),
      y = quantity("y", `ViT ${view.kind} / CNN ${view.kind}`, domain, state.yLog, ".3~r");
    const last = view.range[1],
      color = { value: "var(--gap)" };
    const tips = rows.map((r) => ({
      ...r,
      says: [
        `ViT / CNN ${view.kind}: ${three.format(r.y)}`,
        `at ${say(r.x)} ${NAMES[view.axis] ?? view.axis}`,
        `from ${three.format(r.low)} to ${three.format(r.high)}`,
      ],
    }));
    return {
      width: "container",
      height: narrow() ? 220 : 250,
      description: "ratio of the families' errors",
      layer: [
        ...marks(view, xDomain, x),
        layer(
          rows,
          { type: "area", clip: true, opacity: 0.18 },
          { x, y: { ...y, field: "low" }, y2: { field: "high" }, color },
        ),
        layer([{ y: 1 }], { type: "rule", color: "var(--ink)" }, { y }),
        layer(
          rows.filter((r) => r.x <= last * 1.001),
          { type: "line", clip: true, strokeWidth: 2 },
          { x, y, color },
        ),
        layer(
          rows.filter((r) => r.x >= last * 0.95),
          { type: "line", clip: true, strokeDash: [6, 4] },
          { x, y, color },
        ),
        layer(
          tips,
          { type: "point", clip: true, filled: true, size: 160, opacity: 0, tooltip: { content: "data" } },
          { x, y },
        ),
      ],
    };
  }

  return { curves, gap };
})();
