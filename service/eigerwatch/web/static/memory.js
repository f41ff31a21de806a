// Choices that this browser keeps; storage may be forbidden.

export function remembered(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch { /* then it holds until the page is loaded anew */ }
}
