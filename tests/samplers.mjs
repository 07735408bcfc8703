// Walks with the playground's samplers; reads one request as JSON, writes each moment as JSON.
// The network is a formula that tests/test_playground.py has, too.
import { readFileSync } from "node:fs";
import * as samplers from "../docs/_static/playground/samplers.mjs";

const asked = JSON.parse(readFileSync(0, "utf8"));
const betas = samplers.cosineBetas(asked.T);
const alphaBars = samplers.alphaBarsOf(betas);
const noise = asked.noise.map((row) => Float64Array.from(row));
const pixels = asked.xT.length / asked.labels.length;

// What a network might say: it looks at x, t and the label.
async function network(x, t, labels) {
  return x.map((value, i) => Math.sin(2 * value + 0.3 * labels[Math.floor(i / pixels)] + t / 500));
}

const moments = [];
const walk = samplers.walk({
  predictEps: samplers.guidedEps(network, asked.config, asked.labels, asked.guidance, alphaBars),
  sampler: asked.sampler,
  xT: Float64Array.from(asked.xT),
  grid: samplers.timeGrid(asked.T, asked.steps),
  alphaBars,
  drawNoise: () => noise.shift(),
  eta: asked.eta,
});
for await (const { t, x, x0 } of walk) moments.push({ t, x: [...x], x0: [...x0] });
const gaussian = [...samplers.gaussianSource(asked.seed)(asked.gaussians)];
console.log(JSON.stringify({ betas, moments, gaussian }));
