// Before anything is drawn. Search excerpts are fetched page by page, which a browser refuses on file://.
document.documentElement.classList.replace("no-js", "js");
if (location.protocol === "file:") {
  document.addEventListener("DOMContentLoaded", () => {
    DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
  });
}
