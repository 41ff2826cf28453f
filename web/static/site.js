// Comfort only: every page works without this file.
// A form that is being sent is not sent twice; it may be again when the person comes back to the page.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) {
    event.preventDefault();
  } else if (!event.defaultPrevented) {
    form.dataset.sent = "yes";
  }
});
addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});
