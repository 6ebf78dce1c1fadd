// Loads the cards once the frontend is ready for them.
//
// Until the root element of the frontend is defined, Home Assistant 2026.10 may still replace
// `customElements` and `HTMLElement`: an element that is defined before is lost. The root element
// is another one on Cast. The modules are fetched at once and run only then.
for (const name of ["elements.js", "config.js", "define.js", "texts.js"]) {
  const link = document.createElement("link");
  link.rel = "modulepreload";
  link.href = new URL(name, import.meta.url).href;
  document.head.append(link);
}

Promise.race(["home-assistant", "hc-main"].map((name) => customElements.whenDefined(name)))
  .then(() => import("./elements.js"))
  .then(({ start }) => start())
  .catch((error) => console.error("The GAZE cards did not load.", error));
