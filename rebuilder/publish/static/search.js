// Filters the rows of the index page. Without it the page is complete and merely longer.
"use strict";
(() => {
  const form = document.getElementById("filter");
  const list = document.getElementById("list");
  const shown = document.getElementById("shown");
  if (!form || !list || !shown) return;
  const rows = Array.from(list.tBodies[0].rows, (row) => ({
    row,
    text: row.textContent.toLowerCase(),
    verdict: row.dataset.verdict,
    suite: row.dataset.suite,
    causes: row.dataset.causes.split(" "),
  }));
  const fields = ["q", "verdict", "suite", "cause"];

  const matches = (entry, wanted) =>
    wanted.words.every((word) => entry.text.includes(word)) &&
    (!wanted.verdict || entry.verdict === wanted.verdict) &&
    (!wanted.suite || entry.suite === wanted.suite) &&
    (!wanted.cause || entry.causes.includes(wanted.cause));

  const filter = () => {
    const wanted = {
      words: form.elements.q.value.toLowerCase().split(/\s+/).filter(Boolean),
      verdict: form.elements.verdict.value,
      suite: form.elements.suite.value,
      cause: form.elements.cause.value,
    };
    let count = 0;
    for (const entry of rows) {
      const visible = matches(entry, wanted);
      entry.row.hidden = !visible;
      if (visible) count += 1;
    }
    shown.textContent = `${count} of ${rows.length} shown`;
  };

  const remember = () => {
    const state = new URLSearchParams();
    for (const name of fields) {
      if (form.elements[name].value) state.set(name, form.elements[name].value);
    }
    history.replaceState(null, "", `#${state}`);
  };

  const recall = () => {
    const state = new URLSearchParams(location.hash.slice(1));
    for (const name of fields) form.elements[name].value = state.get(name) ?? "";
  };

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => { filter(); remember(); });
  form.addEventListener("reset", () => setTimeout(() => { filter(); remember(); }));
  addEventListener("hashchange", () => { recall(); filter(); });
  recall();
  filter();
  form.hidden = false;
})();
