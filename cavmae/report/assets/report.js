// Draws the page's charts. Their colours are those of the style sheet, and follow it between light and dark.
(function () {
  "use strict";
  const charts = JSON.parse(document.getElementById("chart-data").textContent);
  const drawn = [];

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  }

  function compact(value) {
    const size = Math.abs(value);
    if (size !== 0 && size < 0.001) return value.toExponential(1);
    if (size >= 10000) return (value / 1000).toLocaleString("en", { maximumFractionDigits: 1 }) + "k";
    return value.toLocaleString("en", { maximumSignificantDigits: 4 });
  }

  function text(chart, value) {
    return chart.percent ? compact(100 * value) + " %" : compact(value);
  }

  function dataset(series) {
    return {
      label: series.name,
      data: series.values.map(([x, y]) => ({ x: x, y: y })),
      borderColor: colour(series.style),
      backgroundColor: colour(series.style),
      borderDash: series.dash,
      borderWidth: 2,
      pointRadius: series.points ? 2.5 : 0,
      pointHitRadius: 8,
      tension: 0,
      spanGaps: false,
    };
  }

  // Chart.js shows the style of a point in the legend; the lines are told apart by their dashes.
  function dashedLabels(drawing) {
    return Chart.defaults.plugins.legend.labels.generateLabels(drawing).map((label) =>
      Object.assign(label, { lineDash: drawing.data.datasets[label.datasetIndex].borderDash, lineWidth: 2 }));
  }

  function options(chart) {
    const grid = { color: colour("line"), drawBorder: false };
    const ticks = { color: colour("soft"), maxRotation: 0, autoSkipPadding: 16 };
    return {
      animation: false,
      maintainAspectRatio: false,
      interaction: { mode: "nearest", axis: "x", intersect: false },
      scales: {
        x: {
          type: "linear",
          title: { display: true, text: "step", color: colour("soft") },
          grid: grid,
          ticks: Object.assign({ callback: compact }, ticks),
        },
        y: {
          beginAtZero: chart.percent,
          grid: grid,
          ticks: Object.assign({ callback: (value) => text(chart, value) }, ticks),
        },
      },
      plugins: {
        legend: {
          display: chart.series.length > 1,
          labels: {
            color: colour("ink"),
            usePointStyle: true,
            pointStyle: "line",
            pointStyleWidth: 26,
            padding: 12,
            generateLabels: dashedLabels,
          },
        },
        tooltip: {
          callbacks: {
            title: (items) => "step " + items[0].parsed.x.toLocaleString("en"),
            label: (item) => item.dataset.label + ": " + text(chart, item.parsed.y),
          },
        },
      },
    };
  }

  function draw() {
    while (drawn.length > 0) drawn.pop().destroy();
    for (const canvas of document.querySelectorAll("canvas[data-chart]")) {
      const chart = charts[Number(canvas.dataset.chart)];
      drawn.push(new Chart(canvas, {
        type: "line",
        data: { datasets: chart.series.map(dataset) },
        options: options(chart),
      }));
    }
  }

  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  draw();
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
