// The part of Lit that the cards use.
export { LitElement, css, html, nothing } from "lit";
export { repeat } from "lit/directives/repeat.js";
