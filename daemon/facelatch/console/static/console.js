// The parts of a page that change by themselves. Without this script the pages show how it stood when they were opened.
"use strict";
for (const place of document.querySelectorAll("[data-source]")) {
  const stream = new EventSource(place.dataset.source);
  let opened = 0;
  stream.onopen = () => {
    // It broke off, and with it the picture, or will soon: a browser goes on showing the last one as if it were now.
    if (opened++) for (const image of document.querySelectorAll(".seen img")) image.src = `/aim/picture?${opened}`;
  };
  stream.onerror = () => {
    // Refused though it was not before: the session is over, and what is shown is not how it stands.
    if (opened && stream.readyState === EventSource.CLOSED) location.reload();
  };
  stream.onmessage = (message) => {
    // Drawn by the server from the template the page itself was drawn from, which escapes all that people have typed.
    place.innerHTML = JSON.parse(message.data);
    if (place.querySelector("[data-over]")) stream.close();
    // What is said aloud stands outside of what is replaced, and is touched only when it is something else.
    for (const said of place.querySelectorAll("[data-says]")) {
      const where = document.getElementById(said.dataset.says);
      if (where.textContent !== said.textContent) where.textContent = said.textContent;
    }
    // The page is another one now: with the picture, or without.
    const is = place.querySelector("[data-is]");
    if (is && is.dataset.is !== place.dataset.state) location.reload();
  };
  addEventListener("pagehide", () => stream.close());
}
