#include "learners/tuning/schedulers.h"

namespace freshet::tuning {

namespace {

class Plain final : public Scheduler {
 public:
  explicit Plain(const SchedulerOptions& options) : max_resource_(options.max_resource) {}

  std::string_view name() const override { return "plain"; }
  std::optional<Job> next_job(const StartTrial& start) override {
    if (!start(started_, max_resource_)) return std::nullopt;
    return Job{started_++, 0, max_resource_, 0};
  }
  void report(std::uint64_t /*trial*/, std::uint64_t /*resource*/, double /*objective*/) override {}
  bool may_resume(std::uint64_t /*trial*/) const override { return false; }
  void save(ByteWriter& out) const override { out.put(started_); }
  Status load(ByteReader& in) override {
    started_ = in.get<std::uint64_t>();
    return in.ok() ? Status::ok() : data_loss("the stored scheduler is cut short");
  }

 private:
  std::uint64_t max_resource_;
  std::uint64_t started_ = 0;
};

}  // namespace

std::unique_ptr<Scheduler> make_plain(const SchedulerOptions& options) { return std::make_unique<Plain>(options); }

}  // namespace freshet::tuning
