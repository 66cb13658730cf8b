// Let in: keep the key where only this port reads it, and go on to the page.

localStorage.setItem("mlxk", document.querySelector("meta[name=key]").content);
location.replace("/");
