// Sliders that the book computes itself, where a formula is enough: those of chapters 01 and 02 in
// course/pages/live.py. It is no module, for browsers load no module into a page that is opened as
// a file. A test compares the formulas with the reference's, and the captions with the notebooks'.
(() => {
  const range = (count, formula = (i) => i) => Array.from({ length: count }, (_, i) => formula(i));
  const each = (formula, ...rows) => rows[0].map((_, i) => formula(...rows.map((row) => row[i])));
  const root = Math.sqrt;

  // Formulas. As in the reference, betas and alpha_bars are computed in double precision, and
  // handed on in single.

  const single = (values) => values.map(Math.fround);

  // Ho et al. 2020, section 4.
  const linearBetas = (T, end, start = 1e-4) =>
    single(range(T, (t) => start + ((end - start) * t) / (T - 1)));

  // Nichol & Dhariwal 2021, equation 17.
  function cosineBetas(T, s, maxBeta = 0.999) {
    const f = (u) => Math.cos(((u + s) / (1 + s)) * (Math.PI / 2)) ** 2;
    return single(range(T, (t) => Math.min(1 - f((t + 1) / T) / f(t / T), maxBeta)));
  }

  function products(betas) {
    let product = 1;
    return betas.map((beta) => (product *= 1 - beta));
  }
  const alphaBarsOf = (betas) => single(products(betas));

  // Ho et al. 2020, equation 4: an image with the share alphaBar of its power, and noise.
  const qSample = (x0, eps, alphaBar) =>
    each((x0, eps) => root(alphaBar) * x0 + root(1 - alphaBar) * eps, x0, eps);

  // The same turned round.
  const predictX0 = (xt, eps, alphaBar) =>
    each((xt, eps) => (xt - root(1 - alphaBar) * eps) / root(alphaBar), xt, eps);

  // Centre and spread of x_{t-1}, if the clean pixel is x0 and the noise has pushed x_t up by one
  // standard deviation: from x_0 alone, from x_t alone, and from both (equations 6 and 7).
  function witnesses(t, x0, betas) {
    const [beta, alphaBars, exact] = [betas[t], alphaBarsOf(betas), products(betas)];
    const [xt] = qSample([x0], [1], alphaBars[t]);
    const [after, before] = [exact[t], exact[t - 1]]; // the posterior's tables are made of these
    const x0Coef = (root(before) * beta) / (1 - after);
    const xtCoef = (root(1 - beta) * (1 - before)) / (1 - after);
    return {
      "x_0 alone": [root(alphaBars[t - 1]) * x0, root(1 - alphaBars[t - 1])],
      "x_t alone": [xt / root(1 - beta), root(beta) / root(1 - beta)],
      "both: q_posterior": [x0Coef * x0 + xtCoef * xt, root((beta * (1 - before)) / (1 - after))],
    };
  }

  // Numbers in words, as Python writes them

  const fixed = (value, places) =>
    value.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
  const significant = (value, digits) => String(Number(value.toPrecision(digits)));

  // Figures. controls: the sliders, the first of which is the notebook's; of each the values, from
  // all settings. drawn: from the notebook's numbers and the settings, what is to be seen.

  const BLUE = { colour: "#0072B2", dash: [], width: 1.8 };
  const RED = { colour: "#D55E00", dash: [6, 4], width: 1.8 };
  const CHAPTER = { T: 1000, s: 0.008, end: 0.02 };

  const schedules = {
    controls: {
      t: { name: "step t", values: ({ T }) => range(T) },
      T: { name: "number of steps T", values: () => range(20, (i) => 50 * (i + 1)) },
      s: { name: "cosine: s", values: () => range(51, (i) => i / 500) },
      end: { name: "linear: beta_end", values: () => range(100, (i) => (i + 1) / 500) },
    },
    drawn({ digit, eps }, settings) {
      const { t, T, s, end } = settings;
      const alphaBars = {
        linear: alphaBarsOf(linearBetas(T, end)),
        cosine: alphaBarsOf(cosineBetas(T, s)),
      };
      const named = Object.entries(alphaBars);
      const left = named.map(([name, a]) => `${name} ${fixed(100 * a[t], 1)} %`);
      const moved = Object.keys(CHAPTER).some((name) => settings[name] !== CHAPTER[name]);
      const others = moved ? `; T = ${T}, s = ${s}, beta_end = ${end}` : "";
      const steps = range(T);
      return {
        words: `t = ${t}; signal left: ${left.join(", ")}${others}`,
        plot: {
          lines: [
            { name: "linear", x: steps, y: alphaBars.linear, ...BLUE },
            { name: "cosine", x: steps, y: alphaBars.cosine, ...RED },
          ],
          xlabel: "step t",
          ylabel: "alpha_bar",
          xRange: [0, T - 1],
          yRange: [0, 1],
          mark: t,
        },
        pictures: named.map(([name, a]) => ({
          title: `${name}, t = ${t}`,
          values: qSample(digit, eps, a[t]),
        })),
      };
    },
  };

  // Shades from the picture's own darkest pixel to its own brightest.
  function stretched(values, low, high) {
    return values.map((value) => (2 * (value - low)) / (high - low) - 1);
  }

  const estimate = {
    controls: { t: { name: "step t", values: () => range(CHAPTER.T) } },
    drawn({ digit, eps, epsHat, data }, { t }) {
      const alphaBar = alphaBarsOf(cosineBetas(CHAPTER.T, CHAPTER.s))[t];
      const xt = qSample(digit, eps, alphaBar);
      const x0 = predictX0(xt, epsHat, alphaBar);
      const [low, high] = [Math.min(...x0), Math.max(...x0)];
      const grown = 0.05 * root((1 - alphaBar) / alphaBar);
      const amount = grown > 10 ? fixed(grown, 0) : significant(grown, 2);
      return {
        words: `t = ${t} (${data}): an error of 0.05 in eps is one of ${amount} in x_0`,
        pictures: [
          { title: `x_t at t = ${t}`, values: xt },
          {
            title: `estimate of x_0\nblack ${fixed(low, 1)}, white ${fixed(high, 1)}`,
            values: stretched(x0, low, high),
          },
          {
            title: "estimate, clipped\nblack -1.0, white 1.0",
            values: x0.map((value) => Math.min(1, Math.max(-1, value))),
          },
        ],
      };
    },
  };

  const BELLS = [
    { colour: "#0072B2", dash: [6, 4], width: 2 },
    { colour: "#D55E00", dash: [2, 3], width: 2 },
    { colour: "#009E7366", dash: [], width: 5 },
  ];

  // One by one at both ends, where much happens, and in tens between them.
  const DENSE_ENDS = [
    ...range(50, (i) => i + 1),
    ...range(90, (i) => 60 + 10 * i),
    ...range(49, (i) => 951 + i),
  ];

  const posterior = {
    controls: { t: { name: "step t", values: () => DENSE_ENDS } },
    drawn({ pixel }, { t }) {
      const bells = witnesses(t, pixel, cosineBetas(CHAPTER.T, CHAPTER.s));
      const [middle, spread] = bells["both: q_posterior"];
      const x = range(401, (i) => middle + 6 * spread * (i / 200 - 1));
      const named = Object.entries(bells);
      const spreads = named.map(([name, [, std]]) => `${name} ${significant(std, 3)}`);
      return {
        words: `t = ${t}, made-up pixel; spread: ${spreads.join(", ")}`,
        plot: {
          lines: named.map(([name, [mean, std]], n) => ({
            name,
            x,
            y: x.map((x) => Math.exp(-0.5 * ((x - mean) / std) ** 2)),
            ...BELLS[n],
          })),
          xlabel: "xₜ₋₁",
          ylabel: "",
          xRange: [x[0], x[400]],
          yRange: [0, 1.05],
        },
        pictures: [],
      };
    },
  };

  const FIGURES = { schedules, estimate, posterior };

  // What a figure shows for given settings; those that are missing are the chapter's. The numbers
  // are the notebook's in single precision again, for late in the walk every digit counts.
  function drawn(kind, numbers, settings) {
    const again = (value) => (Array.isArray(value) ? single(value) : value);
    const exact = Object.entries(numbers).map(([name, value]) => [name, again(value)]);
    return FIGURES[kind].drawn(Object.fromEntries(exact), { ...CHAPTER, ...settings });
  }

  if (typeof module !== "undefined") module.exports = { cosineBetas, drawn, witnesses };
  if (typeof document === "undefined") return;

  // On the page

  // Grey values from -1 to 1; 28 pixels wide, and shown larger.
  function paintPicture(canvas, values) {
    const side = Math.round(root(values.length));
    canvas.width = canvas.height = side;
    const image = new ImageData(side, side);
    values.forEach((value, pixel) => {
      const shade = Math.round((255 * (Math.min(1, Math.max(-1, value)) + 1)) / 2);
      image.data.set([shade, shade, shade, 255], 4 * pixel);
    });
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  // Round numbers within [low, high], about five of them.
  function ticksIn([low, high]) {
    const rough = (high - low) / 5;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
    const [first, last] = [Math.ceil(low / step - 1e-9), Math.floor(high / step + 1e-9)];
    const rounded = (value) => Number(value.toPrecision(12)); // 0.1 + 0.2 is 0.3
    return range(last - first + 1, (i) => rounded((first + i) * step));
  }

  // Lines over axes, with their names above; on white, as all figures of the book.
  function paintPlot(canvas, { lines, xlabel, ylabel, xRange, yRange, mark }) {
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const sharp = devicePixelRatio;
    canvas.width = width * sharp;
    canvas.height = height * sharp;
    const context = canvas.getContext("2d");
    context.scale(sharp, sharp);
    context.fillStyle = "white";
    context.fillRect(0, 0, width, height);
    context.font = "13px sans-serif";
    const box = { left: ylabel ? 56 : 14, right: width - 14, bottom: height - 42 };
    let [place, row] = [box.left, 0]; // of a line's name: in a new row where there is no room
    const names = lines.map(({ name }) => {
      const room = 31 + context.measureText(name).width;
      if (place > box.left && place + room > box.right) [place, row] = [box.left, row + 1];
      place += room + 15;
      return [place - room - 15, 14 + 18 * row];
    });
    box.top = 30 + 18 * row;
    const share = (value, [low, high]) => (value - low) / (high - low);
    const across = (x) => box.left + share(x, xRange) * (box.right - box.left);
    const up = (y) => box.bottom - share(y, yRange) * (box.bottom - box.top);
    const stroke = (points, { colour, dash, width }) => {
      context.beginPath();
      points.forEach(([x, y]) => context.lineTo(x, y));
      Object.assign(context, { strokeStyle: colour, lineWidth: width });
      context.setLineDash(dash);
      context.stroke();
    };
    const write = (words, x, y, align = "center") => {
      context.textAlign = align;
      context.fillStyle = "#222";
      context.fillText(words, x, y);
    };
    const faint = { colour: "#ddd", dash: [], width: 1 };
    for (const x of ticksIn(xRange)) {
      stroke([[across(x), box.top], [across(x), box.bottom]], faint);
      write(String(x), across(x), box.bottom + 17);
    }
    for (const y of ylabel ? ticksIn(yRange) : []) {
      stroke([[box.left, up(y)], [box.right, up(y)]], faint);
      write(String(y), box.left - 6, up(y) + 4, "right");
    }
    write(xlabel, (box.left + box.right) / 2, height - 8);
    context.save();
    context.translate(14, (box.top + box.bottom) / 2);
    context.rotate(-Math.PI / 2);
    write(ylabel, 0, 0);
    context.restore();
    lines.forEach((line, n) => {
      const [left, middle] = names[n];
      stroke(each((x, y) => [across(x), up(y)], line.x, line.y), line);
      stroke([[left, middle], [left + 26, middle]], line);
      write(line.name, left + 31, middle + 4, "left");
    });
    if (mark !== undefined) {
      const upright = [[across(mark), box.top], [across(mark), box.bottom]];
      stroke(upright, { colour: "black", dash: [], width: 1 });
    }
  }

  function control(id, name) {
    const box = document.createElement("div");
    box.className = "control";
    box.innerHTML = `<label for="${id}"></label><input type="range" id="${id}" step="1" min="0"
      autocomplete="off"><output for="${id}"></output>`;
    box.firstChild.textContent = name;
    return box;
  }

  function comeAlive(figure) {
    const { kind, numbers, start } = JSON.parse(figure.querySelector("script").textContent);
    const settings = { ...CHAPTER, t: start };
    const [first, frame] = [figure.querySelector(".control"), figure.querySelector(".frame")];
    const caption = figure.querySelector("figcaption");
    const { id } = first.querySelector("input");
    const boxes = Object.entries(FIGURES[kind].controls).map(([name, slider], n) => {
      const box = n === 0 ? first : control(`${id}-${name}`, slider.name);
      const [input, output] = [box.querySelector("input"), box.querySelector("output")];
      return { name, values: slider.values, box, input, output };
    });
    first.after(...boxes.slice(1).map(({ box }) => box));
    const plot = document.createElement("canvas");
    plot.className = "plot";
    const pictures = drawn(kind, numbers, settings).pictures.map(() => {
      const place = document.createElement("div");
      place.append(document.createElement("span"), document.createElement("canvas"));
      place.className = "picture";
      return place;
    });
    frame.replaceChildren(plot, ...pictures);
    frame.setAttribute("role", "img");

    function draw() {
      const seen = drawn(kind, numbers, settings);
      frame.setAttribute("aria-label", seen.words);
      caption.textContent = seen.words;
      plot.hidden = seen.plot === undefined;
      if (seen.plot) paintPlot(plot, seen.plot);
      seen.pictures.forEach(({ title, values }, n) => {
        pictures[n].firstChild.textContent = title;
        paintPicture(pictures[n].lastChild, values);
      });
    }

    // The sliders as the settings are. How far a slider goes may depend on another.
    function follow() {
      for (const { name, values, input, output } of boxes) {
        const possible = values(settings);
        input.max = possible.length - 1;
        input.value = Math.max(0, possible.findLastIndex((value) => value <= settings[name]));
        settings[name] = possible[input.value];
        output.textContent = settings[name];
        input.setAttribute("aria-valuetext", settings[name]);
      }
      draw();
    }

    for (const { name, values, input } of boxes) {
      input.addEventListener("input", () => {
        settings[name] = values(settings)[input.value];
        follow();
      });
    }
    new ResizeObserver(draw).observe(frame);
    follow();
  }

  document.querySelectorAll("figure.live").forEach(comeAlive);
})();
