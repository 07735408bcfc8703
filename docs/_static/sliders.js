// Sliders without a kernel: each walks through pictures that were drawn when the book was built.
for (const figure of document.querySelectorAll("figure.slider-picture:not(.live)")) {
  const frames = JSON.parse(figure.querySelector("script").textContent);
  const slider = figure.querySelector("input");
  const image = figure.querySelector("img");
  const readout = figure.querySelector("output");
  const caption = figure.querySelector("figcaption");

  slider.addEventListener("input", () => {
    const frame = frames[slider.value];
    image.src = frame.image;
    image.alt = frame.alt;
    readout.textContent = frame.value;
    caption.textContent = frame.caption;
    slider.setAttribute("aria-valuetext", frame.value);
  });

  // Fetch the other pictures once somebody reaches for the slider, so that it moves without a wait.
  const fetchAll = () => frames.forEach((frame) => { new Image().src = frame.image; });
  for (const reached of ["pointerenter", "focus"]) {
    slider.addEventListener(reached, fetchAll, { once: true });
  }
}
