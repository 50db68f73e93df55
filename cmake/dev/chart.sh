# shellcheck shell=bash
# ./dev chart lint|generate|package: the Helm chart in helm/freshet.

dev_chart() {
  local action=${1:-lint}
  [[ $# -le 1 ]] || fail "chart takes one word: lint, generate or package"
  dev_setup chart
  case $action in
    lint)
      lint_chart || fail "the chart has faults"
      say "the chart is clean"
      ;;
    generate) step "write values.schema.json and README.md of the chart" generate_chart ;;
    package)
      mkdir -p build/chart
      "$chart_dir/helm" package helm/freshet --destination build/chart
      ;;
    *) fail "chart knows lint, generate and package, not '$action'" ;;
  esac
}

# Every check is run, also after one that fails.
lint_chart() {
  local failed=0
  run_check "chart: schema and README are what values.yaml and docs/configuration.md make" check_generated || failed=1
  run_check "chart: suites (helm-unittest)" run_chart_suites || failed=1
  run_check "chart: rendered, linted, held against schemas, scored" chart_python helm/check.py --tools "$chart_dir" \
    --crds "$chart_dir/crds" || failed=1
  return $failed
}

chart_python() { "$cache_dir/chart-python/bin/python" -B "$@"; }

generate_chart() {
  chart_python helm/schema.py
  helm_docs helm/freshet >helm/freshet/README.md
}

# What README.md is to be.
helm_docs() { "$chart_dir/helm-docs" --chart-search-root "$1" --sort-values-order file --dry-run --log-level warning; }

check_generated() {
  local failed=0
  chart_python helm/schema.py --check || failed=1
  if ! diff -u --label 'helm/freshet/README.md' --label 'what it should be' helm/freshet/README.md <(helm_docs helm/freshet) |
    head -n 20 | grep .; then
    return $failed
  fi
  echo "run ./dev chart generate" >&2
  return 1
}

run_chart_suites() {
  local log
  log=$(log_file helm-unittest)
  "$chart_dir/helm-unittest" --strict helm/freshet >"$log" 2>&1 && {
    sed -n 's/^Tests: */    /p' "$log"
    return 0
  }
  cat "$log" >&2
  return 1
}

# ./dev test-cluster [NAME...]: the chart on a real API server; pods are pretended to run. With names only those parts.
dev_test_cluster() {
  dev_setup chart cluster
  chart_python helm/cluster_test.py --tools "$chart_dir" --cluster "$cluster_dir" --etcd "$etcd_dir/etcd" "$@"
}
