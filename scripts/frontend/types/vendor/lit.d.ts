export { LitElement, css, html, nothing } from "lit";
export { repeat } from "lit/directives/repeat.js";
export type { PropertyDeclarations } from "lit";
