// PeerCounts: how many connections each client address holds, so that one of them cannot take all. Addresses of an IPv6
// network of 64 bits count as one: whoever has one of them has all.
//
// Threads: any; a mutex is taken once at the beginning and once at the end of a connection.
// Owns: the counts; no more entries than open connections.  Failure: none.
#pragma once

#include <array>
#include <boost/asio/ip/address.hpp>
#include <boost/functional/hash.hpp>
#include <cstddef>
#include <mutex>
#include <unordered_map>

namespace freshet {

class PeerCounts {
 public:
  using Address = std::array<unsigned char, 9>;  // the family, and what counts of the address

  static Address address_of(const boost::asio::ip::address& ip) {
    Address address{};
    if (ip.is_v4() || ip.to_v6().is_v4_mapped()) {
      const auto v4 =
          ip.is_v4() ? ip.to_v4() : boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, ip.to_v6());
      address[0] = 4;
      const auto bytes = v4.to_bytes();
      for (std::size_t i = 0; i < bytes.size(); ++i) address[i + 1] = bytes[i];
      return address;
    }
    address[0] = 6;
    const auto bytes = ip.to_v6().to_bytes();
    for (std::size_t i = 0; i + 1 < address.size(); ++i) address[i + 1] = bytes[i];
    return address;
  }

  // False when the address holds `most` already; then nothing is counted. `most` 0: no bound, and nothing is counted.
  bool add(const Address& address, std::size_t most) {
    if (most == 0) return true;
    const std::lock_guard lock(mutex_);
    std::size_t& count = counts_[address];
    if (count >= most) return false;
    ++count;
    return true;
  }
  void remove(const Address& address) {
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find(address);
    if (found != counts_.end() && --found->second == 0) counts_.erase(found);
  }

 private:
  std::mutex mutex_;
  std::unordered_map<Address, std::size_t, boost::hash<Address>> counts_;
};

}  // namespace freshet
