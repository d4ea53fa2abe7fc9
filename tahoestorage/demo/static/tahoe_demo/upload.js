// Shows the progress of an upload. Without this script the forms work too.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-upload]")) return;
  event.preventDefault();
  const bar = document.createElement("progress");
  bar.max = 1;
  bar.setAttribute("aria-label", "Upload");
  const words = document.createElement("span");
  words.setAttribute("role", "status");
  form.querySelector(".row").append(bar, words);
  const body = new FormData(form);
  const controls = form.querySelectorAll("button, input");
  controls.forEach((control) => { control.disabled = true; });

  const request = new XMLHttpRequest();
  request.upload.addEventListener("progress", ({loaded, total}) => { bar.value = loaded / total; });
  request.upload.addEventListener("load", () => {
    bar.removeAttribute("value");
    words.textContent = "The gateway encrypts the file and spreads its shares…";
  });
  request.addEventListener("error", () => {
    bar.remove();
    words.textContent = "The upload failed: the site cannot be reached. Try again.";
    controls.forEach((control) => { control.disabled = false; });
  });
  request.addEventListener("load", () => {
    const page = new DOMParser().parseFromString(request.responseText, "text/html");
    document.body.replaceWith(page.body);
    history.replaceState(null, "", request.responseURL);
    scrollTo(0, 0);
  });
  request.open("POST", form.action);
  request.send(body);
});
