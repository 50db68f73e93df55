#include "serving/status_routes.h"

#include <utility>

namespace freshet {
namespace {

constexpr std::string_view kMetricsType = "text/plain; version=0.0.4; charset=utf-8";

// Nothing from elsewhere is loaded, and every value is set as text, never as markup.
constexpr std::string_view kPage = R"page(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Freshet</title>
<style>
:root { color-scheme: light dark; --line: #8884; --dim: #888; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 3rem auto; max-width: 44rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 .2rem; }
p { color: var(--dim); margin: 0 0 1.5rem; }
table { border-collapse: collapse; width: 100%; }
td { border-top: 1px solid var(--line); padding: .35rem .5rem .35rem 0; vertical-align: top; }
td:first-child { color: var(--dim); width: 40%; }
td:last-child { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
</style></head>
<body><h1>Freshet</h1><p id="state">reading the status…</p><table id="rows"></table>
<noscript>The same as JSON: <a href="/status">/status</a></noscript>
<script>
const rows = document.getElementById("rows"), state = document.getElementById("state");
function flatten(value, name, out) {
  if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    for (const key of Object.keys(value)) flatten(value[key], name ? name + " · " + key : key, out);
  } else {
    if (name.endsWith("time_ms") && typeof value === "number") {
      out.push([name.slice(0, -3).replaceAll("_", " "), value > 0 ? new Date(value).toISOString() : "none yet"]);
      return out;
    }
    out.push([name.replaceAll("_", " "), Array.isArray(value) ? value.map(v => typeof v === "object" ? JSON.stringify(v) : v).join(", ")
      : typeof value === "number" ? value.toLocaleString("en") : String(value)]);
  }
  return out;
}
async function refresh() {
  try {
    const answer = await fetch("/status", {cache: "no-store"});
    const lines = flatten(await answer.json(), "", []);
    rows.replaceChildren(...lines.map(line => {
      const row = document.createElement("tr");
      for (const text of line) row.appendChild(document.createElement("td")).textContent = text;
      return row;
    }));
    state.textContent = "live; every two seconds";
  } catch (error) {
    state.textContent = "no answer from the server since " + new Date().toLocaleTimeString();
  }
  setTimeout(refresh, 2000);
}
refresh();
</script></body></html>
)page";

}  // namespace

void add_status_routes(Router& router, StatusSources sources) {
  if (sources.metrics) {
    router.add("GET", "/metrics", [metrics = std::move(sources.metrics)](const Request&) {
      Response response;
      response.content_type = kMetricsType;
      response.body = metrics();
      response.compressible = true;
      return response;
    });
  }
  if (!sources.status) return;
  router.add("GET", "/status", [status = std::move(sources.status)](const Request&) {
    Response response;
    response.body = status();
    response.compressible = true;
    response.headers.emplace_back("Cache-Control", "no-store");
    return response;
  });
  const auto page = [](const Request&) {
    Response response;
    response.content_type = kHtmlType;
    response.headers.emplace_back("Content-Security-Policy",
                                  "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                                  "connect-src 'self'");
    response.body = kPage;
    response.compressible = true;
    return response;
  };
  router.add("GET", "/", page, Access::kOpen);
}

}  // namespace freshet
