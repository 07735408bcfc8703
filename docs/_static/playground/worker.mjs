// Walks from noise to digits beside the page, so that the page stays alive while they are drawn.
import { openNetwork } from "./network.mjs";
import { alphaBarsOf, cosineBetas, gaussianSource, guidedEps, timeGrid, walk } from "./samplers.mjs";

let current = 0; // the number of the latest request; earlier ones end

const opened = openNetwork();
opened.then(
  ({ config }) => postMessage({ kind: "ready", config }),
  (error) => postMessage({ kind: "failed", text: String(error.message ?? error) }),
);

addEventListener("message", async ({ data }) => {
  current = data.number;
  if (data.kind === "draw") {
    try {
      await draw(data);
    } catch (error) {
      postMessage({ kind: "failed", number: data.number, text: String(error.message ?? error) });
    }
  }
});

async function draw({ number, labels, guidance, sampler, eta, steps, seed, xT }) {
  const { network, config } = await opened;
  const alphaBars = alphaBarsOf(cosineBetas(config.num_steps));
  const fresh = gaussianSource(seed + 1); // xT came from the seed itself
  const began = performance.now();
  const moments = walk({
    predictEps: guidedEps(network, config, labels, guidance, alphaBars),
    sampler,
    xT,
    grid: timeGrid(config.num_steps, steps),
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
