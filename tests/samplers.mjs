// Walks with the playground's samplers; reads one request as JSON, writes each moment as JSON.
// The network is a formula that tests/test_playground.py has, too.
import { readFileSync } from "node:fs";
import { prompted } from "../docs/_static/playground/prompts.mjs";
import * as samplers from "../docs/_static/playground/samplers.mjs";

const asked = JSON.parse(readFileSync(0, "utf8"));
const betas = samplers.cosineBetas(asked.T);
const alphaBars = samplers.alphaBarsOf(betas);
const noise = asked.noise.map((row) => Float64Array.from(row));
const { config, labels, prompts } = asked;
const told = prompts
  ? prompted(prompts, config.text)
  : samplers.labelled(labels, config.num_classes);
const pixels = asked.xT.length / told.asked.length;

// A number for what a picture is told: its label, or its words and their places and strengths.
function summed(told) {
  if (typeof told === "number") return told;
  return told.tokens.reduce((sum, token, j) => sum + (token * (j + 1) * told.mask[j]) / 30, 0);
}

// What a network might say: it looks at x, t and what it is told.
async function network(x, t, asked) {
  const numbers = asked.map(summed);
  return x.map((value, i) => Math.sin(2 * value + 0.3 * numbers[Math.floor(i / pixels)] + t / 500));
}

const moments = [];
const walk = samplers.walk({
  predictEps: samplers.guidedEps(network, config.prediction, told, asked.guidance, alphaBars),
  sampler: asked.sampler,
  xT: Float64Array.from(asked.xT),
  grid: config.calls
    ? samplers.fewStepsGrid(asked.T, config.calls)
    : samplers.timeGrid(asked.T, asked.steps),
  alphaBars,
  drawNoise: () => noise.shift(),
  eta: asked.eta,
});
for await (const { t, x, x0 } of walk) moments.push({ t, x: [...x], x0: [...x0] });
const gaussian = [...samplers.gaussianSource(asked.seed)(asked.gaussians)];
console.log(JSON.stringify({ betas, moments, gaussian }));
