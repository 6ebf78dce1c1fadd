// The fields of the generate card that few people need, and which field an error is about.
// Loaded on first use.
import { html, nothing } from "./vendor/lit.js";
import { text } from "./shared.js";

/**
 * Fields of the action, and the first words of its errors, by the field of the card.
 * @type {Record<string, string>}
 */
const FIELD_OF = {
  extra_positive: "prompt",
  extra_negative: "negative",
  width: "width",
  height: "height",
  seed: "seed",
  count: "count",
  checkpoint: "checkpoint",
  invalid_seed: "seed",
  invalid_count: "count",
  invalid_width: "width",
  invalid_height: "height",
  size_incomplete: "width",
  size_too_large: "width",
  unknown_preset: "preset",
  unknown_preset_near: "preset",
  preset_gone: "preset",
  unknown_recipe: "preset",
  recipe_template_failed: "preset",
};
const SIZE = ["width", "height"];

/**
 * Show an error at the field that it is about and move the focus there, or scroll to the error.
 * @param {GenerateCard} card @param {ActionError} error
 */
export async function blame(card, error) {
  const { field = "" } = error.translation_placeholders || {};
  const id = FIELD_OF[error.translation_key || ""] || FIELD_OF[field];
  if (!card.problem) return;
  if (!id) {
    await card.update();
    const alert = card.root.querySelector("form > .error[role]");
    if (alert) alert.scrollIntoView({ block: "nearest" });
    return;
  }
  card.problem = { ...card.problem, field: SIZE.includes(id) ? "size" : id };
  await card.update();
  // The field may be among those that were not rendered before.
  await card.update();
  const input = card.root.getElementById(id);
  if (!input) {
    card.problem = { text: card.problem.text };
    return;
  }
  const more = input.closest("details");
  if (more) more.open = true;
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-describedby", "problem");
  input.focus();
}

/**
 * Return a field with its label.
 * @param {GenerateCard} card @param {string} name
 */
export function renderField(card, name) {
  if (name === "size") return renderSize(card);
  return card.renderField(
    name,
    name === "negative"
      ? html`<textarea id="negative" name="extra_negative" rows="2" maxlength="20000" .value=${card.form.extra_negative || ""}></textarea>`
      : input(card, name, name === "seed" && !isRecipe(card) ? text("random") : "")
  );
}

/** @param {GenerateCard} card */
const isRecipe = (card) => card.choice && card.choice.kind === "recipe";

/** @param {GenerateCard} card */
function renderSize(card) {
  const { problem } = card;
  return html`<div class="wide" role="group" aria-labelledby="size">
    <label id="size" for="width">${text("size")}</label>
    <div class="row" style="flex-wrap: nowrap">${input(card, "width", text("width"))} × ${input(card, "height", text("height"))}</div>
    ${problem && problem.field === "size" ? html`<p class="error" id="problem">${problem.text}</p>` : nothing}
  </div>`;
}

/** @param {GenerateCard} card @param {string} name @param {string} placeholder */
const input = (card, name, placeholder) =>
  html`<input
    id=${name}
    name=${name}
    inputmode=${name === "checkpoint" ? "text" : "numeric"}
    autocomplete="off"
    aria-label=${SIZE.includes(name) ? placeholder : nothing}
    placeholder=${placeholder}
    .value=${card.form[name] || ""}
  />`;
