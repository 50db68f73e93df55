#include "daemon/tuning/study_report.h"

#include <array>

#include "core/html_page.h"
#include "daemon/tuning/report/report_files.h"
#include "learners/tuning/rungs.h"

namespace freshet {
namespace {

constexpr std::uint32_t kFormat = 1;

// Where trials of this scheduler are compared with each other; without rungs, at the end alone.
std::vector<std::uint64_t> levels(const tuning::SchedulerOptions& options) {
  if (options.kind == "plain" || options.kind == "median") return {options.max_resource};
  return tuning::rung_levels(options.grace, options.eta, options.max_resource);
}

}  // namespace

std::string study_document(const tuning::Study& study, const StudyTimeline& timeline, const StudyFacts& facts) {
  JsonWriter json(0);
  json.begin_object();
  json.field("format", kFormat);
  json.field("model", facts.model);
  json.field("metric", facts.objective.metric);
  json.field("lower_is_better", lower_is_better(facts.objective.metric));
  json.field("forgetting_penalty", facts.objective.forgetting_penalty);
  json.field("events_trained_on", facts.events_trained_on);
  json.field("events_judging", facts.events_judging);
  json.field("judged_by_newest", facts.judged_by_newest);
  json.field("slices", facts.slices);
  json.field("workers", facts.workers);
  json.field("seconds", timeline.seconds());
  json.field("worker_seconds", timeline.worker_seconds());
  json.key("configured_trial");
  if (facts.configured_trial && *facts.configured_trial < study.trials().size()) {
    json.value(*facts.configured_trial);
  } else {
    json.null();
  }
  json.key("rungs");
  json.begin_array();
  for (const std::uint64_t level : levels(study.options().scheduler)) json.value(level);
  json.end_array();
  json.key("finished");
  timeline.write_json(json);
  json.key("study");
  study.write_json(json);
  json.end_object();
  return json.take();
}

Result<std::string> study_report(std::string_view written, std::span<const ReportedStudy> studies) {
  JsonWriter json(0);
  json.begin_object();
  json.field("version", FRESHET_VERSION);
  json.field("written", written);
  json.key("studies");
  json.begin_array();
  for (const ReportedStudy& study : studies) {
    json.begin_object();
    json.field("name", study.name);
    json.key("document");
    json.json(study.document);
    json.end_object();
  }
  json.end_array();
  json.end_object();
  const std::string data = json_in_script(json.take());
  std::string script = "'use strict';\n";
  for (const std::string_view file : {report_files::kModel, report_files::kPanel, report_files::kCharts,
                                      report_files::kSurvival, report_files::kParallel, report_files::kPage}) {
    script += file;
  }
  const std::array<PagePart, 5> parts = {{{"style", report_files::kStyle},
                                          {"data", data},
                                          {"notice", report_files::kNotice},
                                          {"library", report_files::kChartLibrary},
                                          {"script", script}}};
  return fill_page(report_files::kHtml, parts);
}

}  // namespace freshet
