import * as http from "node:http"
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 })
let done = 0; const body = Buffer.alloc(128); const lat = []
const one = () => new Promise((r) => { const t = performance.now(); const q = http.request({ port: 27999, host: "127.0.0.1", path: "/v1/records/n/k" + (done % 1000), method: "PUT", agent, headers: { "content-length": 128 } }, (res) => { res.resume(); res.on("end", () => { done++; lat.push(performance.now() - t); r() }) }); q.end(body) })
const until = Date.now() + 6000
const loop = async () => { while (Date.now() < until) await one() }
await Promise.all(Array.from({ length: 64 }, loop))
lat.sort((a, b) => a - b)
console.log(Math.round(done / 6), "req/s p50", lat[lat.length >> 1].toFixed(2), "p99", lat[Math.floor(lat.length * 0.99)].toFixed(2)); process.exit()
