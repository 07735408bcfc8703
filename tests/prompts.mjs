// Reads prompts with the playground's JavaScript: each as tokens and mask, or its fault, as JSON.
import { readFileSync } from "node:fs";
import { nullPrompt, readPrompt } from "../docs/_static/playground/prompts.mjs";

const { prompts, text } = JSON.parse(readFileSync(0, "utf8"));
const read = prompts.map((prompt) => {
  try {
    return readPrompt(prompt, text);
  } catch (error) {
    return { fault: error.message };
  }
});
console.log(JSON.stringify({ read, none: nullPrompt(text.length) }));
