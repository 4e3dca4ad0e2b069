// The parts of a page that change by themselves. Without this script the pages show how it stood when they were opened.
"use strict";
for (const place of document.querySelectorAll("[data-source]")) {
  const stream = new EventSource(place.dataset.source);
  stream.onmessage = (message) => {
    // Drawn by the server from the template the page itself was drawn from, which escapes all that people have typed.
    place.innerHTML = JSON.parse(message.data);
    if (place.querySelector("[data-over]")) stream.close();
  };
  addEventListener("pagehide", () => stream.close());
}
