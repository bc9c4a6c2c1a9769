// The crossover size against what differs between the questions, as a Vega-Lite specification.
"use strict";
const knobPlot = (() => {
  const { layer, plain, quantity, say } = parts;

  function knob(own) {
    const values = own.rows.filter((r) => r.fit_high !== null),
      rests = [...new Set(own.rows.map((r) => r.rest))];
    const ends = values.flatMap((r) => [r.fit_low, 10 * r.fit_high]);
    const y = quantity(
      "y",
      `crossover size (${own.axis_label})`,
      [Math.min(...ends) / 1.5, Math.max(...ends) * 1.5],
      true,
      "~s",
    );
    const x = {
      field: "value",
      type: "ordinal",
      title: own.label,
      scale: { domain: own.order },
      axis: { labelAngle: own.order.join("").length > 60 ? -35 : 0 },
    };
    const shift = rests.length > 1 ? { xOffset: { field: "rest" } } : {};
    const words = { cnn_ahead: "CNN ahead", vit_ahead: "ViT ahead", not_identifiable: "?" };
    const crossed = values
      .filter((r) => r.crossover_size !== null)
      .map((r) => ({
        ...r,
        y: r.crossover_size,
        low: r.interval_low ?? r.fit_low,
        high: r.interval_high ?? 10 * r.fit_high,
        says: [
          `${own.label} ${r.value}`,
          `crossing near ${say(r.crossover_size)}`,
          `from ${r.interval_low === null ? "no lower end" : say(r.interval_low)} to ${r.interval_high === null ? "no upper end" : say(r.interval_high)}`,
          r.rest,
        ],
      }));
    const open = crossed
      .flatMap((r) => [
        r.interval_low === null ? { ...r, y: r.low, shape: "triangle-down" } : null,
        r.interval_high === null ? { ...r, y: r.high, shape: "triangle-up" } : null,
      ])
      .filter(Boolean);
    const none = values
      .filter((r) => r.crossover_size === null)
      .map((r) => ({
        ...r,
        text: words[r.verdict] ?? r.verdict,
        shape: r.verdict === "vit_ahead" ? "triangle-down" : "triangle-up",
        y:
          r.verdict === "cnn_ahead"
            ? 10 * r.fit_high
            : r.verdict === "vit_ahead"
              ? r.fit_low
              : Math.sqrt(10 * r.fit_low * r.fit_high),
      }));
    const color =
      rests.length > 1
        ? {
            color: {
              field: "rest",
              type: "nominal",
              title: null,
              scale: { range: ["var(--cnn-2)", "var(--cnn-3)", "var(--vit-2)", "var(--vit-3)"] },
            },
          }
        : { color: { value: "var(--ink)" } };
    return {
      width: "container",
      height: 260,
      description: `crossover size against ${own.label}`,
      layer: [
        layer(
          values.map((r) => ({ ...r, y: r.fit_low, y2: r.fit_high })),
          { type: "rule", strokeWidth: 9, color: "var(--soft)", opacity: 0.25 },
          { x, y, y2: { field: "y2" }, ...shift },
        ),
        layer(
          values.map((r) => ({ ...r, y: r.fit_high, y2: 10 * r.fit_high })),
          { type: "rule", strokeWidth: 9, color: "var(--soft)", opacity: 0.1 },
          { x, y, y2: { field: "y2" }, ...shift },
        ),
        layer(
          crossed,
          { type: "rule", strokeWidth: 2 },
          { x, y: { ...y, field: "low" }, y2: { field: "high" }, ...color, ...shift },
        ),
        layer(
          open,
          { type: "point", filled: true, size: 50, opacity: 1 },
          { x, y, shape: plain("shape"), ...color, ...shift },
        ),
        layer(
          crossed,
          { type: "point", filled: true, size: 80, opacity: 1, tooltip: { content: "data" } },
          { x, y, ...color, ...shift },
        ),
        layer(
          none.filter((r) => r.text !== "?"),
          { type: "point", size: 60, opacity: 1 },
          { x, y, shape: plain("shape"), ...color, ...shift },
        ),
        layer(
          none,
          { type: "text", dx: 9, align: "left", color: "var(--soft)", fontSize: 11 },
          { x, y, text: { field: "text" }, ...shift },
        ),
      ],
    };
  }

  return knob;
})();
