// The shipped networks, computed by ONNX Runtime, whose files lie beside this in ort/: by the
// processor in WebAssembly ("wasm"), or by a graphics card ("webgpu").

// Each is fetched when it is first asked for.
async function runtimeOf(device) {
  const ort = await import(`./ort/ort.${device}.min.mjs`);
  ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
  return ort;
}

const whole = (values) => BigInt64Array.from(values, BigInt);

// Load one of the networks, "mnist", "mnist_few" or "prompts", for one of the devices. Returns it as
// a function (x, t, asked) -> prediction, and its configuration. `asked` has an entry for each
// image: a label, or a prompt's tokens and mask if the network reads captions.
export async function openNetwork(name, device) {
  const files = [`${name}.json`, `${name}.onnx`].map(fetched);
  const [ort, described, model] = await Promise.all([runtimeOf(device), ...files]);
  const config = await described.json();
  const session = await ort.InferenceSession.create(await model.arrayBuffer(), {
    executionProviders: [device],
  });

  function told(asked) {
    const count = asked.length;
    if (config.text === null) return { labels: new ort.Tensor("int64", whole(asked), [count]) };
    const shape = [count, config.text.length];
    const row = (part) => asked.flatMap((prompt) => prompt[part]);
    return {
      tokens: new ort.Tensor("int64", whole(row("tokens")), shape),
      mask: new ort.Tensor("float32", Float32Array.from(row("mask")), shape),
    };
  }

  async function network(x, t, asked) {
    const count = asked.length;
    const shape = [count, config.image_channels, config.image_size, config.image_size];
    const { prediction } = await session.run({
      x: new ort.Tensor("float32", Float32Array.from(x), shape),
      t: new ort.Tensor("int64", whole(new Array(count).fill(t)), [count]),
      ...told(asked),
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
