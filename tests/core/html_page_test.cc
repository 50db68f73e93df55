// Pages out of templates, and texts that must not become markup.
#include <gtest/gtest.h>

#include <array>

#include "core/html_page.h"

namespace freshet::test {
namespace {

TEST(HtmlPage, FillsEveryMarkOnceAndLooksAtNothingThatItPutIn) {
  const std::array<PagePart, 2> parts = {{{"title", "a {{text}} b"}, {"text", "$1 \\0 }} {{"}}};
  const auto page = fill_page("<b>{{title}}</b>{{text}}|{{title}} { {{ }} {{Other}} {{", parts);
  ASSERT_TRUE(page.is_ok()) << page.status().message();
  EXPECT_EQ(*page, "<b>a {{text}} b</b>$1 \\0 }} {{|a {{text}} b { {{ }} {{Other}} {{");
}

TEST(HtmlPage, AMarkThatNothingFillsAndAPartWithoutAMarkAreFaults) {
  const std::array<PagePart, 1> parts = {{{"title", "x"}}};
  EXPECT_NE(fill_page("{{title}} {{style}}", parts).status().message().find("style"), std::string::npos);
  EXPECT_NE(fill_page("no marks", parts).status().message().find("title"), std::string::npos);
  EXPECT_EQ(*fill_page("", {}), "");
}

TEST(HtmlPage, TextsBecomeNoMarkup) {
  EXPECT_EQ(html_text("a<b> & \"c\" 'd'"), "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
  EXPECT_EQ(json_in_script(R"({"name": "</script><!-- x"})"), R"({"name": "\u003c/script\u003e\u003c!-- x"})");
}

}  // namespace
}  // namespace freshet::test
