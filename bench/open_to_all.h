// A vault in which everybody sees everything: no grants, no budgets, no alarms.
#pragma once

#include <span>
#include <vector>

#include "vault/ports.h"

namespace holdfast::bench {

class Everyone final : public vault::Permits {
 public:
  vault::View view(const Caller&, const vault::FieldQuestion&) const override {
    return vault::View::clear;
  }
  Result<Caller> acting_for(Caller caller, std::string_view) const override { return caller; }
  bool may(const Caller&, std::string_view) const override { return true; }
  Task<Result<Caller>> renewed(Caller caller) const override { co_return caller; }
  Task<Result<void>> still(Caller, std::string_view) const override { co_return Result<void>(); }
  Task<Result<bool>> same_account(std::string one, std::string other, MonoTime) const override {
    co_return one == other;
  }
};

class NoBudgets final : public vault::Budgets {
 public:
  bool counts(std::span<const std::uint32_t>) const override { return false; }
  Task<Result<std::optional<std::int64_t>>> room(Caller, std::vector<std::uint32_t>) override {
    co_return std::nullopt;
  }
  Task<Result<Charge>> charge(Caller, std::vector<SubjectId>, std::vector<SubjectId>,
                              std::vector<std::uint32_t>) override {
    co_return Charge{};
  }
  std::vector<std::uint32_t> opener_terms(const Caller&) const override { return {}; }
  Task<Spent> spent(Caller, std::size_t, std::vector<std::uint32_t>, Error error,
                    journal::Event event) override {
    co_return Spent{std::move(error), std::move(event)};
  }
  Task<void> settle(Caller, std::vector<std::uint32_t>, std::vector<Watched>,
                    std::vector<std::int64_t>) override {
    co_return;
  }
};

struct NoAlarms final : vault::Alarms {
  void canary_opened(std::string_view, std::string_view, const EventId&) override {}
};

}  // namespace holdfast::bench
