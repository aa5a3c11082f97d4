// The server draws the figures; this asks for them again whenever it says that they changed.
const stream = new EventSource("live");
const renew = async () => {
  const answer = await fetch(location.href);
  if (!answer.ok) { return end(); }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of ["main", ".lead"]) {
    document.querySelector(part).replaceWith(fresh.querySelector(part));
  }
};
const end = () => {
  stream.close();
  document.getElementById("ended").hidden = false;
};
stream.addEventListener("figures", renew);
stream.addEventListener("error", () => { if (stream.readyState === EventSource.CLOSED) { end(); } });
