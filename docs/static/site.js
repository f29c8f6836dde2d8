// What a page remembers and how it is reached by keyboard. Nothing is sent anywhere.
(() => {
  const kept = (key) => {
    try {
      return localStorage.getItem(`lstmcourse ${key}`);
    } catch {
      return null;                                           // a browser that keeps nothing
    }
  };
  const keep = (key, value) => {
    try {
      localStorage.setItem(`lstmcourse ${key}`, value);
    } catch {
      // the answer is shown all the same
    }
  };

  // A prediction: typed, kept in this browser, and the answer opens.
  for (const form of document.querySelectorAll("form.prediction")) {
    const { key, fold, answer: is } = form.dataset;
    const field = form.querySelector("input");
    const answer = document.querySelector(`details.answer[data-key="${CSS.escape(fold)}"]`);
    const show = (guess) => {
      form.querySelector("output").textContent = `You said ${guess}${is ? `; it is ${is}` : ""}.`;
      if (answer) answer.open = true;
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const guess = field.value.trim();
      if (!guess) {
        form.querySelector("output").textContent = "Type a prediction first, or open the answer below.";
        return;
      }
      keep(key, guess);
      show(guess);
    });
    const before = kept(key);
    if (before !== null) {
      field.value = before;
      show(before);
    }
  }

  // A link into something folded opens it.
  const unfold = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let fold = target?.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    if (target?.closest("details")) target.scrollIntoView();
  };
  window.addEventListener("hashchange", unfold);
  unfold();

  // What scrolls sideways can be scrolled by keyboard.
  const reachable = () => {
    for (const box of document.querySelectorAll(".table-wrapper, .highlight pre, div.math, .lc-scroll, .cell_output, .cell_output pre")) {
      if (box.scrollWidth > box.clientWidth + 1) {
        box.tabIndex = 0;
        if (!box.getAttribute("role")) box.setAttribute("role", "region");
        if (!box.getAttribute("aria-label")) box.setAttribute("aria-label", "scrolls sideways");
      }
    }
  };
  window.addEventListener("load", reachable);
  window.addEventListener("resize", reachable);
  document.addEventListener("toggle", reachable, true);

  // The live figures follow the page's theme.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const theme = () => {
    const chosen = document.body.dataset.theme;
    document.body.dataset.jpThemeLight = String(!(chosen === "dark" || (chosen !== "light" && dark.matches)));
  };
  new MutationObserver(theme).observe(document.body, { attributes: true, attributeFilter: ["data-theme"] });
  dark.addEventListener("change", theme);
  theme();
})();
