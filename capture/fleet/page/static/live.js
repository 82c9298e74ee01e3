// Follows what happens: when the server says that something did, the page is asked for anew, and the parts that are others
// are replaced. Without this script the page is as it was when it was opened.
(() => {
  'use strict'
  const from = document.body.dataset.live
  if (!from || !window.EventSource) return
  let busy = false, again = false, over = false
  const refresh = async () => {
    if (busy) { again = true; return }
    busy = true
    try {
      const answer = await fetch(location.href, { redirect: 'error', headers: { Accept: 'text/html' } })
      if (!answer.ok) return
      const now = new DOMParser().parseFromString(await answer.text(), 'text/html')
      for (const part of document.querySelectorAll('[data-part]')) {
        const other = now.querySelector(`[data-part="${part.dataset.part}"]`)
        if (!other || other.innerHTML === part.innerHTML) continue
        const at = document.activeElement
        const id = at && part.contains(at) ? at.id : ''
        part.innerHTML = other.innerHTML
        if (id) document.getElementById(id)?.focus({ preventScroll: true })
      }
      if (!now.body.dataset.live) { over = true; source?.close() }
    } catch { // the server is away: the next event, or the next connection, asks again
    } finally {
      busy = false
      if (again) { again = false; setTimeout(refresh, 300) }
    }
  }
  // A browser has six connections to a server by HTTP/1.1: pages that nobody sees leave theirs to the others.
  let source
  const follow = () => {
    if (over || document.hidden) { source?.close(); source = undefined; return }
    if (source) return
    source = new EventSource(from)
    source.onmessage = refresh
  }
  document.addEventListener('visibilitychange', () => {
    const back = !document.hidden && !source && !over
    follow()
    if (back) refresh()
  })
  follow()
})()
