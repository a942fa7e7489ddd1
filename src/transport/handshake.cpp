#include "transport/handshake.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <cstring>

#include "os/random.hpp"
#include "tandem/error.hpp"
#include "transport/same_bytes.hpp"

namespace tandem::transport {
namespace {

using Magic = std::array<char, 8>;
constexpr Magic kClientMagic = {'t', 'a', 'n', 'd', 'e', 'm', 'C', '1'};
constexpr Magic kServerMagic = {'t', 'a', 'n', 'd', 'e', 'm', 'S', '1'};
constexpr std::uint32_t kByteOrder = 0x01020304;
/// Far more than one end of a pipe takes.
constexpr std::uint32_t kMostFollowing = 4096;

Greeting make_greeting(const Magic& magic) {
  Greeting greeting{magic, kWireVersion, kByteOrder, {}};
  os::fill_random(greeting.once);
  return greeting;
}

void check_greeting(const Greeting& greeting, const Magic& magic) {
  if (greeting.magic != magic) throw DecodeError("these are not the first bytes of a tandem peer");
  if (greeting.byte_order != kByteOrder) {
    throw DecodeError("the peer's machine writes numbers in another byte order");
  }
  if (greeting.version != kWireVersion) {
    throw DecodeError("the peer is of another version of tandem");
  }
}

/// What a proof is about.
struct Transcript {
  Magic maker;
  Greeting client;
  Greeting server;
  std::uint32_t verdict;
  std::uint32_t size;
};
static_assert(sizeof(Transcript) == 8 + 48 + 48 + 4 + 4);

Proof prove(const AuthKey& key, const Transcript& about) {
  Proof proof;
  unsigned int size = 0;
  const auto secret = key.bytes();
  if (::HMAC(::EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
             reinterpret_cast<const unsigned char*>(&about), sizeof about,
             reinterpret_cast<unsigned char*>(proof.data()), &size) == nullptr ||
      size != proof.size()) {
    throw Error("HMAC-SHA256: libcrypto cannot compute it");
  }
  return proof;
}

Proof client_proof(const AuthKey& key, const Greeting& client, const Greeting& server) {
  return prove(key, {kClientMagic, client, server, 0, 0});
}
Proof server_proof(const AuthKey& key, const Greeting& client, const Greeting& server,
                   std::uint32_t size) {
  return prove(key,
               {kServerMagic, client, server, static_cast<std::uint32_t>(Verdict::admitted), size});
}

template <class T>
T read_at(std::span<const std::byte> bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

}  // namespace

Greeting client_greeting() { return make_greeting(kClientMagic); }
Greeting server_greeting() { return make_greeting(kServerMagic); }

std::span<std::byte> ServerHandshake::space() noexcept {
  const std::size_t end = received_ < sizeof(Greeting) ? sizeof(Greeting) : bytes_.size();
  return std::span(bytes_).subspan(received_, end - received_);
}

ServerHandshake::Next ServerHandshake::arrived(std::size_t n) {
  received_ += n;
  if (received_ > sizeof(Greeting)) {
    return received_ == bytes_.size() ? Next::answer : Next::receive;
  }
  // Who is not one of us is seen by the first bytes, and need not send as many as we would wait for.
  const std::size_t seen = std::min(received_, kClientMagic.size());
  if (std::memcmp(bytes_.data(), kClientMagic.data(), seen) != 0) {
    throw DecodeError("these are not the first bytes of a tandem client");
  }
  if (received_ < sizeof(Greeting)) return Next::receive;
  check_greeting(read_at<Greeting>(bytes_, 0), kClientMagic);
  return Next::greet;
}

bool ServerHandshake::proven(const AuthKey& key) const {
  return same_bytes(client_proof(key, read_at<Greeting>(bytes_, 0), greeting_),
                    read_at<Proof>(bytes_, sizeof(Greeting)));
}

Answer ServerHandshake::answer(const AuthKey& key, bool admit, std::uint32_t size) const {
  if (!admit) return {Verdict::refused, 0, {}};
  return {Verdict::admitted, size,
          server_proof(key, read_at<Greeting>(bytes_, 0), greeting_, size)};
}

Proof ClientHandshake::take(const Greeting& server, const AuthKey& key) {
  check_greeting(server, kServerMagic);
  server_ = server;
  return client_proof(key, greeting_, server_);
}

std::uint32_t ClientHandshake::take(const Answer& answer, const AuthKey& key) const {
  if (answer.verdict == Verdict::refused) {
    throw AuthenticationError("the listener has another key");
  }
  if (answer.verdict != Verdict::admitted || answer.size > kMostFollowing) {
    throw DecodeError("the listener has sent what no listener sends");
  }
  if (!same_bytes(answer.proof, server_proof(key, greeting_, server_, answer.size))) {
    throw AuthenticationError("the listener does not know the key");
  }
  return answer.size;
}

}  // namespace tandem::transport
