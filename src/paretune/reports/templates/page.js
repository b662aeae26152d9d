// The body of a function that has `data` and `byId`.
const SYMBOLS = { honest: "diamond-open", last: "square-open", picked: "x-thin-open" };
const CONFIG = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "toImage"] };
const error = f1 => Math.max(1 - f1, data.leastShownError);
const colour = family => data.colours[family] || data.colours[""];
const words = text => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;");
const axis = () => byId("axis").value;
const score = data.score;
const number = value => value.toLocaleString("en", Number.isInteger(value) ? {} : { maximumSignificantDigits: 5 });
const height = p => score.isShare ? error(p.f1) : p.f1;  // on the upright axis
const formatted = f1 => score.isShare ? f1.toFixed(4) : number(f1);
const runUrl = point => data.isStudy ? null : `${data.ui}/#/experiments/${point.experiment}/runs/${point.run}`;

function wanted() {
  const max = byId("max-params").value === "" ? Infinity : Number(byId("max-params").value);
  const bound = byId("min-f1").value, min = bound === "" ? -Infinity : score.sign * Number(bound);
  const families = new Set([...document.querySelectorAll(".family:checked")].map(box => box.value));
  return data.points.filter(p => p[axis()] !== null && p[axis()] <= max && score.sign * p.f1 >= min && families.has(p.family));
}

function frontOf(points) {
  const sorted = [...points].sort((a, b) => a[axis()] - b[axis()] || score.sign * (b.f1 - a.f1));
  let best = -Infinity;
  return sorted.filter(p => score.sign * p.f1 > best && ((best = score.sign * p.f1), true));
}

function hover(p) {
  const lines = (p.searched || []).slice(0, 14).concat(p.searched?.length > 14 ? ["..."] : []);
  const head = `<b>${words(score.heading)} ${withError(p)}</b>`, costs = Object.entries(data.units).filter(([cost]) => p[cost] !== null);
  if (data.isStudy) return [head, `${words(data.units[axis()])} ${number(p[axis()])}`, `trial ${p.number}`, ...folded(p.layers.split(", "))].join("<br>");
  lines.unshift(...costs.map(([cost, unit]) => `${number(p[cost])} ${unit}`));
  return [head, `${words(p.family)} ${words(p.layers)}`, ...lines.map(words), `trial ${p.number}, run ${p.run.slice(0, 8)}`].join("<br>");
}

function folded(parameters) {
  const most = 14, shown = parameters.slice(0, most).map(words);
  return parameters.length > most ? [...shown, "..."] : shown;
}

function intervals(points) {  // of confirmed models; one seed has none
  const own = points.map(p => p.f1Low != null && p.f1High != null && p.f1High > p.f1Low);
  if (!own.some(Boolean)) return {};
  const above = points.map((p, i) => own[i] ? error(p.f1Low) - error(p.f1) : 0);
  const below = points.map((p, i) => own[i] ? error(p.f1) - error(p.f1High) : 0);
  return { error_y: { type: "data", symmetric: false, array: above, arrayminus: below, color: data.intervalColour, thickness: 1.6, width: 4 } };
}

function withError(p) {  // the F1 and its standard error, where that is known
  const f1 = formatted(p.f1);
  return p.se == null ? f1 : `${f1} ± ${p.se.toFixed(4)}`;
}
function f1Ticks(lowest, highest) {  // the usual ones, or, of a narrow axis, at least three at equal steps
  const usual = data.ticks.filter(f1 => lowest <= f1 && f1 <= highest);
  if (usual.length >= data.fewestTicks) return usual;
  for (const step of data.tickSteps) {
    const first = Math.ceil(lowest / step), last = Math.floor(highest / step);
    if (last - first + 1 >= data.fewestTicks) return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toFixed(9)));
  }
  return usual;
}

function f1Axis(errors, title) {
  const highest = Math.min(1, Math.max(...errors) * data.margin), lowest = Math.min(...errors) / data.margin;
  const ticks = f1Ticks(1 - highest, 1 - lowest);
  return {
    type: "log", title: { text: title }, range: [Math.log10(highest), Math.log10(lowest)],
    tickvals: ticks.map(f1 => 1 - f1), ticktext: ticks.map(String), gridcolor: "#eee",
  };
}

function shownErrors(points) {
  const [least, most] = reach(), references = byId("published")?.checked && axis() === "params" ? data.references : [];
  const near = references.filter(r => Math.log10(r.params) >= least && Math.log10(r.params) <= most).map(r => error(r.score));
  const ends = points.filter(p => p.f1Low != null && p.f1High < 1).flatMap(p => [error(p.f1Low), error(p.f1High)]);
  const errors = [...points.map(p => error(p.f1)), ...near, ...ends];
  return errors.length ? errors : [1, data.leastShownError];
}

function trialTraces(points) {
  const families = [...new Set(data.points.map(p => p.family))].sort();
  return families.map(family => {
    const own = points.filter(p => p.family === family);
    return {
      type: "scatter", mode: "markers", name: `${words(family)} (${own.length})`, x: own.map(p => p[axis()]), y: own.map(height),
      text: own.map(hover), customdata: own.map(runUrl), hovertemplate: "%{text}<extra></extra>",
      marker: { color: colour(family), size: 7, opacity: 0.45 }, visible: own.length ? true : "legendonly",
    };
  });
}

function frontTrace(front) {
  return {
    type: "scatter", mode: "lines+markers", name: `front (${front.length})`, x: front.map(p => p[axis()]), y: front.map(height),
    text: front.map(hover), customdata: front.map(runUrl), hovertemplate: "%{text}<extra></extra>",
    line: { shape: "hv", color: "#222", width: 1.5 }, marker: { color: front.map(p => colour(p.family)), size: 10, line: { color: "#222", width: 1 } },
    ...intervals(front),
  };
}

function referenceTraces() {
  if (!byId("published")?.checked || axis() !== "params") return [];  // nothing else is known of them
  return Object.entries(data.grades).map(([grade, label]) => {
    const own = data.references.filter(r => r.grade === grade);
    return {
      type: "scatter", mode: "markers", name: label, x: own.map(r => r.params), y: own.map(r => error(r.score)),
      text: own.map(r => `<b>${words(r.name)}</b><br>${r.params.toLocaleString("en")} parameters<br>test ${r.metric} ${r.score}<br>${words(r.source)}`),
      hovertemplate: "%{text}<extra></extra>", marker: { symbol: SYMBOLS[grade], color: "#444", size: 8, line: { color: "#444", width: 1.3 } },
    };
  }).filter(trace => trace.x.length);
}

function reach() {
  const own = data.points.map(p => p[axis()]).filter(cost => cost !== null), cap = data.caps[axis()], most = Math.max(...own, cap || 0);
  return [Math.log10(Math.min(...own) / 1.4), Math.log10(most * (cap && axis() === "params" ? 4 : 1.5))];
}

function costAxis(narrow) {
  const title = { text: data.units[axis()] }, gridcolor = "#eee";
  if (!data.logCost) return { title, gridcolor };
  const range = reach(), decades = range[1] - range[0], isWide = narrow ? decades > 2.5 : decades > 5;
  return { type: "log", title, gridcolor, range, dtick: isWide ? 1 : "D2", tickformat: narrow ? "~s" : data.isStudy ? ",.12~g" : ",d" };
}

function scoreAxis(narrow, points) {
  if (score.isShare) return f1Axis(shownErrors(points), narrow ? score.heading : score.axis);
  return { type: score.isLog ? "log" : "linear", title: { text: score.axis }, gridcolor: "#eee" };
}

function layout(narrow, points) {
  const cap = data.caps[axis()], isLow = score.sign < 0;  // the corner of the legend is one that the front leaves free
  return {
    margin: { l: 62, r: 14, t: 10, b: 50 }, hovermode: "closest", plot_bgcolor: "#fff",
    legend: narrow ? { orientation: "h", y: -0.26, yanchor: "top", font: { size: 11 } } : { x: 1, y: isLow ? 0.98 : 0.02, xanchor: "right", yanchor: isLow ? "top" : "bottom", bgcolor: "rgba(255,255,255,.85)" },
    xaxis: costAxis(narrow),
    yaxis: scoreAxis(narrow, points),
    shapes: cap ? [{ type: "line", x0: cap, x1: cap, yref: "paper", y0: 0, y1: 1, line: { color: "#888", width: 1, dash: "dot" } }] : [],
  };
}

function cell(row, text, number) {
  const td = row.insertCell();
  td.textContent = text;
  if (number) td.className = "number";
  return td;
}

function fillTrial(row, p) {  // of a study
  cell(row, p.number, true);
  cell(row, p.layers).className = "layers";
  cell(row, p.seconds === null ? "" : number(Number(p.seconds.toPrecision(3))), true).classList.add("wide");
}

function fillTable(front, narrow) {
  const body = byId("front-table").tBodies[0];
  body.replaceChildren();
  for (const p of front) {
    const row = body.insertRow();
    for (const cost of Object.keys(data.units)) {
      const td = cell(row, p[cost] === null ? "" : number(p[cost]), true);
      if (cost !== axis()) td.classList.add("wide");
    }
    cell(row, withError(p), true);
    if (data.isStudy) {
      fillTrial(row, p);
      continue;
    }
    cell(row, p.accuracy === null ? "" : p.accuracy.toFixed(4), true);
    cell(row, p.family);
    cell(row, narrow ? p.layers : data.spelt[p.run] || p.layers).className = "layers";
    cell(row, p.epoch < 0 ? "" : p.epoch, true).classList.add("wide");
    cell(row, p.seconds === null ? "" : p.seconds.toFixed(0), true).classList.add("wide");
    const link = document.createElement("a");
    Object.assign(link, { href: runUrl(p), target: "_blank", rel: "noopener", textContent: p.run.slice(0, 8) });
    cell(row, "").append(link);
  }
  if (data.isStudy) return;
  byId("commands").textContent = front.map(p => {
    return `paretune confirm ${p.quoted} --run ${p.run.slice(0, 8)} && paretune export ${p.quoted} --run ${p.run.slice(0, 8)} ${p.family}-${p.params}.onnx`;
  }).join("\n");
}

function draw() {
  [...byId("front-table").tHead.rows[0].cells].slice(0, Object.keys(data.units).length).forEach((th, i) => th.classList.toggle("wide", Object.keys(data.units)[i] !== axis()));
  const points = wanted(), front = frontOf(points), narrow = window.innerWidth < 600;
  Plotly.react("front-plot", [...trialTraces(points), ...referenceTraces(), frontTrace(front)], layout(narrow, points), CONFIG);
  fillTable(front, narrow);
}

function curve(id, x, y, title, extra) {
  const trace = { type: "scatter", mode: "lines", x, y, line: { color: "#0072b2", shape: "hv", width: 2 }, hovertemplate: "%{y:.4f}<extra></extra>" };
  const axes = { xaxis: { title: { text: title }, gridcolor: "#eee", rangemode: "tozero" }, yaxis: { gridcolor: "#eee" } };
  Plotly.newPlot(id, [trace], { margin: { l: 50, r: 10, t: 8, b: 44 }, showlegend: false, ...axes, ...extra }, CONFIG);
}

function drawMattered() {
  const groups = Object.entries(data.mattered);
  if (!groups.length) return byId("mattered").remove();
  const boxes = groups.map(() => Object.assign(document.createElement("div"), { className: "plot small" }));
  byId("mattered-plots").append(...boxes);  // all of them first, as each is narrower beside another
  for (const [place, [name, shares]] of groups.entries()) {
    const box = boxes[place], top = Object.entries(shares).slice(0, 8).reverse();
    const trace = { type: "bar", orientation: "h", x: top.map(e => e[1]), y: top.map(e => e[0]), marker: { color: colour(name) }, hovertemplate: "%{x:.2f}<extra></extra>" };
    Plotly.newPlot(box, [trace], { title: { text: words(name), font: { size: 14 } }, margin: { l: 10, r: 10, t: 32, b: 30 }, xaxis: { range: [0, 1], gridcolor: "#eee" }, yaxis: { automargin: true } }, CONFIG);
  }
}

function drawRaced() {
  if (!data.raced.length) return byId("raced").remove();
  const traces = data.raced.map(c => ({
    type: "scatter", mode: "lines+markers", x: c.epochs, y: c.f1.map(error), name: `trial ${c.number}`, marker: { size: 4 },
    line: { color: c.raced ? "#d55e00" : "#222", width: c.raced ? 1 : 1.5 }, opacity: c.raced ? 0.5 : 0.9,
    hovertemplate: `trial ${c.number}, ${c.cost.toLocaleString("en")} ${data.units[data.axis]}<extra></extra>`,
  }));
  const y = f1Axis(data.raced.flatMap(c => c.f1.map(error)), "F1");
  Plotly.newPlot("raced-plot", traces, { margin: { l: 56, r: 10, t: 8, b: 44 }, showlegend: false, xaxis: { title: { text: "epoch" }, gridcolor: "#eee", tick0: 1, dtick: Math.ceil(Math.max(...data.raced.flatMap(c => c.epochs)) / 12) }, yaxis: y }, CONFIG);
}

draw();
byId("front-plot").on("plotly_click", event => {
  const url = event.points[0].customdata;
  if (url) window.open(url, "_blank", "noopener");
});
byId("filters").addEventListener("input", draw);
window.matchMedia("(max-width: 600px)").addEventListener("change", draw);
curve("volume-plot", data.volume.gain.map(i => i + 1), data.volume.gain.map(i => data.volume.volume[i]), "complete trials");
const lastHour = data.volume.hours.at(-1), [unit, perHour] = lastHour >= 1 ? ["hours", 1] : lastHour >= 1 / 60 || !data.isStudy ? ["minutes", 60] : ["seconds", 3600];
curve("hours-plot", data.volume.gain.map(i => data.volume.hours[i] * perHour), data.volume.gain.map(i => data.volume.volume[i]), unit);
drawMattered();
drawRaced();
