#include "daemon/status_page/status_page.h"

#include <fmt/format.h>

#include <array>

#include "core/html_page.h"
#include "core/json_writer.h"
#include "daemon/config/config_text.h"
#include "daemon/config/feature_config.h"
#include "daemon/config/option_table.h"
#include "daemon/status_page/page_files.h"
#include "daemon/tuning/report/report_files.h"

namespace freshet {
namespace {

void write_option(JsonWriter& json, std::string_view name, std::string_view value, bool is_default, Change change) {
  json.begin_object();
  json.field("name", name);
  json.field("value", value);
  json.field("default", is_default);
  json.field("change", change_words(change));
  json.end_object();
}

}  // namespace

Result<StatusPage> make_status_page(std::string_view nonce) {
  std::string script;
  for (const std::string_view file : {page_files::kDom, page_files::kLink, page_files::kCharts, page_files::kHeat,
                                      page_files::kPanels, page_files::kPage}) {
    script += file;
  }
  const std::array<PagePart, 5> parts = {{{"nonce", nonce},
                                          {"style", page_files::kStyle},
                                          {"notice", report_files::kNotice},
                                          {"library", report_files::kChartLibrary},
                                          {"script", script}}};
  StatusPage page;
  page.html = TRY(fill_page(page_files::kHtml, parts).with_context("the status page"));
  page.policy = fmt::format(
      "default-src 'none'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; connect-src 'self'; img-src data:; "
      "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      nonce);
  return page;
}

std::string config_json(const Config& config) {
  const Config defaults;
  JsonWriter json(0);
  json.begin_object();
  json.key("options");
  json.begin_array();
  for (const Option& option : option_table()) {
    const OptionValue value = option.get(config);
    if (option.type == OptionType::kFeatures && !std::get<FeatureList>(value).specs.empty()) {
      for (const FeatureSpec& spec : std::get<FeatureList>(value).specs) {
        write_option(json, option.name + "." + spec.name, format_feature(spec), false, option.change);
      }
      continue;
    }
    // Compared unmasked: a secret that is set is not the default.
    const bool is_default = format_option(option, value, true) == format_option(option, option.get(defaults), true);
    write_option(json, option.name, format_option(option, value), is_default, option.change);
  }
  json.end_array();
  json.end_object();
  return json.take();
}

}  // namespace freshet
