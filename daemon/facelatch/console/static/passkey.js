// Passkeys: asks the browser for one, and sends what it says as a field of the form. Without this script, or where the
// browser has no passkeys for this site, such forms stay hidden.
"use strict";
const decode = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const encode = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
  .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const known = (list) => (list || []).map((one) => ({ ...one, id: decode(one.id) }));

async function credential(options) {
  const asked = { ...options, challenge: decode(options.challenge) };
  if (!options.user) {
    asked.allowCredentials = known(options.allowCredentials);
    return navigator.credentials.get({ publicKey: asked });
  }
  asked.user = { ...options.user, id: decode(options.user.id) };
  asked.excludeCredentials = known(options.excludeCredentials);
  return navigator.credentials.create({ publicKey: asked });
}

async function send(form) {
  const answer = await fetch(form.dataset.passkey);
  if (answer.redirected) return location.assign(answer.url); // the password is asked for once more
  const made = await credential(await answer.json());
  const response = {};
  for (const part of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"])
    if (made.response[part]) response[part] = encode(made.response[part]);
  const { id, type } = made;
  form.elements.credential.value = JSON.stringify({ id, rawId: id, type, response, clientExtensionResults: {} });
  return form.submit();
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  form.hidden = !window.PublicKeyCredential;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form).catch(() => { form.querySelector("[role=status]").textContent = form.dataset.failed; });
  });
}
