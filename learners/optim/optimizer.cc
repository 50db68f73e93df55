#include "learners/optim/optimizer.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/core.h>

#include "learners/models/kernels.h"

namespace freshet {

namespace {

constexpr std::array<std::string_view, 4> kOptimizerNames = {"sgd", "adamw", "adagrad", "adam"};

// A state value for each weight, dense and by row.
struct StatePlane {
  AlignedBuffer dense;
  AlignedBuffer rows;

  explicit StatePlane(const Parameters& parameters, float start = 0.0F)
      : dense(parameters.dense.size()), rows(parameters.table.values().size()), start_(start) {
    reset();
  }
  void reset() {
    std::ranges::fill(dense.span(), start_);
    std::ranges::fill(rows.span(), start_);
  }
  OptimizerState::Plane plane() { return {dense.span(), rows.span()}; }
  float* row(const RowTable& table, std::uint32_t index) { return rows.data() + index * table.stride(); }
  void save(ByteWriter& out, const Parameters& parameters) const {
    save_floats(out, dense.span());
    save_rows(out, parameters.table, rows.data());
  }
  Status load(ByteReader& in, const Parameters& parameters) {
    reset();
    TRY(load_floats(in, dense.span()));
    return load_rows(in, parameters.table, rows.data());
  }

 private:
  float start_;
};

class Sgd final : public Optimizer {
 public:
  Sgd(const OptimizerOptions& options, const Parameters& parameters) : options_(options) {
    if (options.momentum != 0.0F) momentum_ = std::make_unique<StatePlane>(parameters);
  }
  OptimizerKind kind() const override { return OptimizerKind::kSgd; }
  const OptimizerOptions& options() const override { return options_; }
  OptimizerState state() override {
    OptimizerState state;
    if (momentum_) state.planes = {momentum_->plane()};
    return state;
  }
  void step(Parameters& parameters, float learning_rate) override {
    const Kernels& kernels = cpu_kernels();
    const SgdStep step{learning_rate, options_.momentum, options_.weight_decay, options_.nesterov};
    kernels.sgd(step, parameters.dense.data(), parameters.dense_gradients.data(),
                momentum_ ? momentum_->dense.data() : nullptr, parameters.dense.size());
    RowTable& table = parameters.table;
    const auto touched = table.touched();
    for (std::size_t slot = 0; slot < touched.size(); ++slot) {
      kernels.sgd(step, table.row(touched[slot]), table.gradient(slot),
                  momentum_ ? momentum_->row(table, touched[slot]) : nullptr, table.stride());
    }
  }
  void reset() override {
    if (momentum_) momentum_->reset();
  }
  void save(ByteWriter& out, const Parameters& parameters) const override {
    out.put(kind());
    out.put<std::uint8_t>(momentum_ ? 1 : 0);
    if (momentum_) momentum_->save(out, parameters);
  }
  Status load(ByteReader& in, const Parameters& parameters) override {
    const bool kind_fits = in.get<OptimizerKind>() == kind();
    const bool has_momentum = in.get<std::uint8_t>() != 0;
    if (!in.ok() || !kind_fits) {
      return failed_precondition("the stored state is not that of the configured optimizer (sgd)");
    }
    if (has_momentum) {
      if (momentum_) return momentum_->load(in, parameters);
      return StatePlane(parameters).load(in, parameters);  // read over
    }
    if (momentum_) momentum_->reset();
    return Status::ok();
  }

 private:
  OptimizerOptions options_;
  std::unique_ptr<StatePlane> momentum_;
};

class Adagrad final : public Optimizer {
 public:
  Adagrad(const OptimizerOptions& options, const Parameters& parameters)
      : options_(options), sums_(parameters, options.initial_accumulator) {}
  OptimizerKind kind() const override { return OptimizerKind::kAdagrad; }
  const OptimizerOptions& options() const override { return options_; }
  OptimizerState state() override { return {{sums_.plane()}, nullptr, {}}; }
  void step(Parameters& parameters, float learning_rate) override {
    const Kernels& kernels = cpu_kernels();
    const AdagradStep step{learning_rate, options_.epsilon, options_.weight_decay};
    kernels.adagrad(step, parameters.dense.data(), parameters.dense_gradients.data(), sums_.dense.data(),
                    parameters.dense.size());
    RowTable& table = parameters.table;
    const auto touched = table.touched();
    for (std::size_t slot = 0; slot < touched.size(); ++slot) {
      kernels.adagrad(step, table.row(touched[slot]), table.gradient(slot), sums_.row(table, touched[slot]),
                      table.stride());
    }
  }
  void reset() override { sums_.reset(); }
  void save(ByteWriter& out, const Parameters& parameters) const override {
    out.put(kind());
    sums_.save(out, parameters);
  }
  Status load(ByteReader& in, const Parameters& parameters) override {
    if (in.get<OptimizerKind>() != kind() || !in.ok()) {
      return failed_precondition("the stored state is not that of the configured optimizer (adagrad)");
    }
    return sums_.load(in, parameters);
  }

 private:
  OptimizerOptions options_;
  StatePlane sums_;
};

// Adam and AdamW: the same but for where the weight decay goes.
class Adam final : public Optimizer {
 public:
  Adam(const OptimizerOptions& options, const Parameters& parameters)
      : options_(options), first_(parameters), second_(parameters), row_steps_(parameters.table.rows()) {}
  OptimizerKind kind() const override { return options_.kind; }
  const OptimizerOptions& options() const override { return options_; }
  OptimizerState state() override { return {{first_.plane(), second_.plane()}, &steps_, row_steps_}; }
  void step(Parameters& parameters, float learning_rate) override {
    const auto move = options_.kind == OptimizerKind::kAdamW ? cpu_kernels().adamw : cpu_kernels().adam;
    ++steps_;
    move(corrected(learning_rate, steps_), parameters.dense.data(), parameters.dense_gradients.data(),
         first_.dense.data(), second_.dense.data(), parameters.dense.size());
    RowTable& table = parameters.table;
    const auto touched = table.touched();
    for (std::size_t slot = 0; slot < touched.size(); ++slot) {
      const std::uint32_t row = touched[slot];
      if (row_steps_[row] < kForgottenCorrection) ++row_steps_[row];
      move(corrected(learning_rate, row_steps_[row]), table.row(row), table.gradient(slot), first_.row(table, row),
           second_.row(table, row), table.stride());
    }
  }
  void reset() override {
    steps_ = 0;
    first_.reset();
    second_.reset();
    std::ranges::fill(row_steps_, 0);
  }
  void save(ByteWriter& out, const Parameters& parameters) const override {
    out.put(kind());
    out.put(steps_);
    first_.save(out, parameters);
    second_.save(out, parameters);
    for (const auto row : parameters.table.used()) out.put(row_steps_[row]);
  }
  Status load(ByteReader& in, const Parameters& parameters) override {
    if (in.get<OptimizerKind>() != kind() || !in.ok()) {
      return failed_precondition(
          fmt::format("the stored state is not that of the configured optimizer ({})", optimizer_name(kind())));
    }
    steps_ = in.get<std::uint64_t>();
    TRY(first_.load(in, parameters));
    TRY(second_.load(in, parameters));
    std::ranges::fill(row_steps_, 0);
    for (const auto row : parameters.table.used()) row_steps_[row] = in.get<std::uint32_t>();
    return in.ok() ? Status::ok() : data_loss("the stored state of the optimizer is cut short");
  }

 private:
  static constexpr std::uint32_t kForgottenCorrection = 0xFFFFFFFF;  // by then the corrections are 1

  static constexpr std::uint64_t kKnownCorrections = 16384;
  struct Correction {
    double first = 0.0;   // 1 - beta1^t
    double second = 0.0;  // sqrt(1 - beta2^t)
  };

  Correction correction(std::uint64_t steps) const {
    const auto count = static_cast<double>(steps);
    return {1.0 - std::pow(static_cast<double>(options_.beta1), count),
            std::sqrt(1.0 - std::pow(static_cast<double>(options_.beta2), count))};
  }
  // Each row has its own count of steps; two powers a row would cost more than the row's step.
  AdamStep corrected(float learning_rate, std::uint64_t steps) {
    while (known_.size() <= std::min(steps, kKnownCorrections)) known_.push_back(correction(known_.size()));
    const Correction right = steps < known_.size() ? known_[steps] : correction(steps);
    return {learning_rate,
            options_.beta1,
            options_.beta2,
            options_.epsilon,
            options_.weight_decay,
            static_cast<float>(static_cast<double>(learning_rate) / right.first),
            static_cast<float>(right.second)};
  }

  OptimizerOptions options_;
  StatePlane first_;
  StatePlane second_;
  std::uint64_t steps_ = 0;
  std::vector<std::uint32_t> row_steps_;
  std::vector<Correction> known_;
};

Status check(const OptimizerOptions& options) {
  const auto in_unit = [](float value) { return value >= 0.0F && value < 1.0F; };
  if (!(options.weight_decay >= 0.0F)) return invalid_argument("weight decay must not be negative");
  if (!in_unit(options.momentum)) return invalid_argument("momentum must be in [0, 1)");
  if (options.nesterov && options.momentum == 0.0F) return invalid_argument("Nesterov's method needs a momentum");
  if (!in_unit(options.beta1) || !in_unit(options.beta2)) return invalid_argument("Adam's betas must be in [0, 1)");
  if (!(options.epsilon >= 0.0F)) return invalid_argument("epsilon must not be negative");
  if (!(options.initial_accumulator >= 0.0F)) return invalid_argument("Adagrad's accumulator must not start negative");
  return Status::ok();
}

}  // namespace

std::string_view optimizer_name(OptimizerKind kind) { return kOptimizerNames.at(static_cast<std::size_t>(kind)); }

Result<OptimizerKind> parse_optimizer(std::string_view name) {
  for (std::size_t i = 0; i < kOptimizerNames.size(); ++i) {
    if (kOptimizerNames.at(i) == name) return static_cast<OptimizerKind>(i);
  }
  return invalid_argument(fmt::format("no optimizer \"{}\"; there are sgd, adam, adamw and adagrad", name));
}

Result<std::unique_ptr<Optimizer>> Optimizer::create(const OptimizerOptions& options, const Parameters& parameters) {
  TRY(check(options));
  OptimizerOptions complete = options;
  if (complete.epsilon == 0.0F) complete.epsilon = options.kind == OptimizerKind::kAdagrad ? 1e-10F : 1e-8F;
  std::unique_ptr<Optimizer> optimizer;
  switch (options.kind) {
    case OptimizerKind::kSgd:
      optimizer = std::make_unique<Sgd>(complete, parameters);
      break;
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamW:
      optimizer = std::make_unique<Adam>(complete, parameters);
      break;
    case OptimizerKind::kAdagrad:
      optimizer = std::make_unique<Adagrad>(complete, parameters);
      break;
  }
  if (optimizer == nullptr) return invalid_argument("no such optimizer");
  return optimizer;
}

}  // namespace freshet
