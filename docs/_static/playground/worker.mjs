// Walks from noise to pictures beside the page, so that the page stays alive while they are drawn.
import { openNetwork } from "./network.mjs";
import { prompted } from "./prompts.mjs";
import {
  alphaBarsOf,
  cosineBetas,
  fewStepsGrid,
  gaussianSource,
  guidedEps,
  labelled,
  timeGrid,
  walk,
} from "./samplers.mjs";

let current = 0; // the number of the latest request; earlier ones end
const networks = new Map(); // those that were asked for, by name and device, as promises

addEventListener("message", async ({ data }) => {
  if (data.kind === "open") return open(data.name, data.device);
  current = data.number;
  if (data.kind === "draw") {
    try {
      await draw(data);
    } catch (error) {
      postMessage({ kind: "failed", number: data.number, text: String(error.message ?? error) });
    }
  }
});

async function open(name, device) {
  try {
    const { config } = await networkOf(name, device);
    postMessage({ kind: "ready", name, device, text: config.text });
  } catch (error) {
    postMessage({ kind: "missing", name, device, text: String(error.message ?? error) });
  }
}

// Each network is fetched once, when it is first asked for; after a failure it is tried again.
function networkOf(name, device) {
  const key = `${name} ${device}`;
  if (!networks.has(key)) {
    const opened = openNetwork(name, device);
    opened.catch(() => networks.delete(key));
    networks.set(key, opened);
  }
  return networks.get(key);
}

async function draw({ number, name, device, wanted, guidance, sampler, eta, steps, seed, xT }) {
  const { network, config } = await networkOf(name, device);
  const T = config.num_steps;
  const alphaBars = alphaBarsOf(cosineBetas(T));
  const told =
    config.text === null ? labelled(wanted, config.num_classes) : prompted(wanted, config.text);
  const fresh = gaussianSource(seed + 1); // xT came from the seed itself
  const began = performance.now();
  const moments = walk({
    predictEps: guidedEps(network, config.prediction, told, guidance, alphaBars),
    sampler,
    xT,
    grid: config.calls > 0 ? fewStepsGrid(T, config.calls) : timeGrid(T, steps),
    alphaBars,
    drawNoise: () => fresh(xT.length),
    eta,
  });
  for await (const moment of moments) {
    postMessage({ kind: "moment", number, ...moment });
    await new Promise((done) => setTimeout(done)); // let a message in: it may say stop
    if (number !== current) return postMessage({ kind: "stopped", number });
  }
  postMessage({ kind: "done", number, seconds: (performance.now() - began) / 1000 });
}
