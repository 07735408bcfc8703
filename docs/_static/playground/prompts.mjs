// Prompts, read as the reference does it (solutions/ch09_prompts.py, course/model/prompts.py).
// A test reads the same prompts with both, and walks with both from the same noise.
//
//   text      of a model's configuration: the words that it knows, and the length of a row
//   tokens    words as numbers, `length` of them; mask: how strong each is, 0 where nothing is said

const [PAD, BOS, UNK, NULL] = [0, 1, 2, 3];
const SPECIAL = ["<pad>", "<bos>", "<unk>", "<null>"];
const MAX_STRENGTH = 100; // of a word

export const splitWords = (caption) => caption.toLowerCase().match(/[a-z0-9]+/g) ?? [];

// Number the words, behind the four tokens that are no words.
export const makeVocabulary = (words) =>
  new Map([...SPECIAL, ...words].map((word, number) => [word, number]));

// Devlin et al. 2019, section 3: a first token of its own, the words, and padding.
export function tokenize(caption, vocabulary, length) {
  const tokens = [BOS, ...splitWords(caption).map((word) => vocabulary.get(word) ?? UNK)];
  if (tokens.length > length) {
    throw new Error(`"${caption}" makes ${tokens.length} tokens, and a row has ${length}`);
  }
  while (tokens.length < length) tokens.push(PAD);
  return { tokens, mask: tokens.map((token) => (token === PAD ? 0 : 1)) };
}

// The words of a prompt, each with its strength: "a red:2 seven" asks twice for red.
export function wordsAndStrengths(prompt) {
  const pieces = prompt.split(/\s+/).filter((piece) => piece !== "");
  return pieces.flatMap((piece) => {
    const colon = piece.indexOf(":");
    const strength = colon < 0 ? 1 : strengthOf(piece.slice(colon + 1), piece);
    const words = splitWords(colon < 0 ? piece : piece.slice(0, colon));
    return words.map((word) => ({ word, strength }));
  });
}

function strengthOf(number, written) {
  const strength = /^(\d+(\.\d*)?|\.\d+)$/.test(number) ? Number(number) : Infinity;
  if (strength <= MAX_STRENGTH) return strength;
  throw new Error(
    "behind the colon is the word's strength, a number from 0 to " +
      `${MAX_STRENGTH} such as 1.5, got "${written}"`,
  );
}

// A prompt as tokens and mask; what cannot be drawn is an error that names it.
export function readPrompt(prompt, text) {
  const said = wordsAndStrengths(prompt);
  if (said.length === 0) throw new Error("a prompt needs at least one word");
  const words = said.map(({ word }) => word);
  const unknown = new Set(words.filter((word) => !text.words.includes(word)));
  if (unknown.size > 0) {
    const named = [...unknown].map((word) => `"${word}"`).join(", ");
    throw new Error(`this model does not know ${named}`);
  }
  if (words.length > text.length - 1) {
    const most = text.length - 1;
    throw new Error(`this model reads ${most} words at most, and here are ${words.length}`);
  }
  const { tokens, mask } = tokenize(words.join(" "), makeVocabulary(text.words), text.length);
  said.forEach(({ strength }, place) => (mask[1 + place] = strength));
  return { tokens, mask };
}

// Ho & Salimans 2022, algorithm 1: the row that stands for "any picture"; all of it is looked at.
export const nullPrompt = (length) => ({
  tokens: new Array(length).fill(NULL),
  mask: new Array(length).fill(1),
});

// What each picture is told, and what guidance leads away from.
export const prompted = (prompts, text) => ({
  asked: prompts.map((prompt) => readPrompt(prompt, text)),
  none: prompts.map(() => nullPrompt(text.length)),
});
