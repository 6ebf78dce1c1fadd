// The part of Lit that the cards use.
export { LitElement, css, html, nothing } from "lit";
export { live } from "lit/directives/live.js";
export { repeat } from "lit/directives/repeat.js";
