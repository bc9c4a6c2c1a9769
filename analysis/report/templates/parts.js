// What all plots share: style, numbers in words, axes, and the marks of measured range and crossing.
// Colours are CSS variables, so that themes and print are the style sheet's business alone.
"use strict";
const parts = (() => {
  const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";
  const NAMES = {
    train_size: "images",
    pretrain_size: "pre-training images",
    train_flops: "FLOPs",
    train_seconds: "seconds",
    seen_examples: "examples seen",
  };
  const CONFIG = {
    background: "transparent",
    font: FONT,
    view: { stroke: null },
    autosize: { type: "fit", contains: "padding" },
    axis: {
      labelColor: "var(--soft)",
      titleColor: "var(--ink)",
      gridColor: "var(--line)",
      domainColor: "var(--soft)",
      tickColor: "var(--soft)",
      titleFontWeight: "normal",
      titleFontSize: 13,
      labelFontSize: 12,
    },
    legend: {
      symbolOpacity: 1,
      labelColor: "var(--ink)",
      titleColor: "var(--soft)",
      orient: "bottom",
      labelFontSize: 12,
      titleFontSize: 12,
      titleFontWeight: "normal",
      columns: { signal: "max(1, floor(width / 90))" },
    },
  };
  const narrow = () => window.innerWidth < 620;
  const three = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
  const exact = new Intl.NumberFormat("en", { maximumFractionDigits: 4 });
  const say = (v) =>
    Math.abs(v) >= 1e9 || (v !== 0 && Math.abs(v) < 1e-3)
      ? v.toExponential(2)
      : Math.abs(v) >= 1000
        ? exact.format(v)
        : three.format(v);

  const ticks = (low, high) => {
    const found = [];
    const steps =
      Math.log10(high / low) > 3.2 ? [1] : Math.log10(high / low) > 0.8 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
      for (const step of steps) {
        const value = Number((step * 10 ** power).toPrecision(3));
        if (value >= low * 0.999 && value <= high * 1.001) found.push(value);
      }
    return found;
  };
  const quantity = (field, title, domain, log, format) => ({
    field,
    type: "quantitative",
    title,
    scale: { type: log ? "log" : "linear", domain, nice: false, ...(log ? {} : { zero: false }) },
    axis: {
      labelExpr: `format(datum.value, '${format}')`,
      labelOverlap: true,
      ...(log ? { values: ticks(...domain) } : { tickCount: 6 }),
    },
  });
  const layer = (values, mark, encoding) => ({ data: { values }, mark, encoding });
  const plain = (field) => ({ field, type: "nominal", scale: null });
  const reachOf = (view, log) => {
    const [low, high] = view.reach;
    return log ? [low / 1.15, view.range ? high : high * 1.15] : [0, view.range ? 2 * view.range[1] : high * 1.05];
  };
  const marks = (view, domain, x) => {
    if (!view.range) return [];
    const [low, high] = domain,
      last = view.range[1];
    const clip = (v) => Math.min(Math.max(v, low), high);
    const layers = [
      layer([{ x: last, x2: high }], { type: "rect", color: "var(--soft)", opacity: 0.07 }, { x, x2: { field: "x2" } }),
      layer([{ x: last }], { type: "rule", color: "var(--soft)", strokeDash: [2, 3] }, { x }),
    ];
    for (const [text, align, dx] of [
      ["measured", "right", -5],
      ["extrapolated", "left", 5],
    ])
      layers.push(
        layer(
          [{ x: last, text }],
          { type: "text", align, dx, baseline: "bottom", color: "var(--soft)", fontSize: 11 },
          { x, y: { value: -4 }, text: { field: "text" } },
        ),
      );
    for (const [size, from, to] of view.crossings) {
      const says = [
        "crossing",
        `near ${say(size)} ${NAMES[view.axis] ?? view.axis}`,
        from === null ? "no lower end" : `from ${say(from)}`,
        to === null ? "no upper end" : `to ${say(to)}`,
      ];
      layers.push(
        layer(
          [{ x: clip(from ?? low), x2: clip(to ?? high), says }],
          {
            type: "rect",
            color: "var(--soft)",
            opacity: 0.25,
            tooltip: { content: "data" },
            description: "interval of the crossing",
          },
          { x, x2: { field: "x2" } },
        ),
      );
      if (size >= low && size <= high)
        layers.push(
          layer(
            [{ x: size, says }],
            { type: "rule", color: "var(--soft)", strokeWidth: 2, tooltip: { content: "data" } },
            { x },
          ),
        );
    }
    return layers;
  };

  const element = (name, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };

  return { CONFIG, element, exact, layer, marks, NAMES, narrow, plain, quantity, reachOf, say, three };
})();
