// The shipped network, computed by ONNX Runtime's WebAssembly, which lies beside this in ort/.
import * as ort from "./ort/ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;

// Load the network; returns it as a function (x, t, labels) -> prediction, and its configuration.
export async function openNetwork() {
  const [described, model] = await Promise.all(["model.json", "model.onnx"].map(fetched));
  const config = await described.json();
  const session = await ort.InferenceSession.create(await model.arrayBuffer());

  async function network(x, t, labels) {
    const count = labels.length;
    const whole = (values) => BigInt64Array.from(values, BigInt);
    const shape = [count, config.image_channels, config.image_size, config.image_size];
    const { prediction } = await session.run({
      x: new ort.Tensor("float32", Float32Array.from(x), shape),
      t: new ort.Tensor("int64", whole(new Array(count).fill(t)), [count]),
      labels: new ort.Tensor("int64", whole(labels), [count]),
    });
    return prediction.data;
  }

  return { network, config };
}

async function fetched(name) {
  const response = await fetch(new URL(name, import.meta.url));
  if (!response.ok) throw new Error(`${name} cannot be fetched (${response.status})`);
  return response;
}
