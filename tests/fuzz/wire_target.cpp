// What strangers send to a listener, and peers over tcp: both sides of the handshake, frames, and
// a connection whose peer writes what it likes.
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fuzz/target.hpp"
#include "os/check.hpp"
#include "os/socket.hpp"
#include "tandem/auth_key.hpp"
#include "tandem/connection.hpp"
#include "tandem/error.hpp"
#include "transport/frame.hpp"
#include "transport/handshake.hpp"
#include "transport/live_channels.hpp"
#include "transport/socket_channel.hpp"

namespace tandem::fuzz {
namespace {

using namespace transport;
using Message = std::map<std::string, std::vector<std::uint16_t>>;

// Numbers used once that are always the same, so that seeds can hold proofs.
Greeting fixed(Greeting greeting) {
  greeting.once.fill(std::byte{7});
  return greeting;
}

/// Copies as much of the input as fits and as its next byte says. \returns how much
std::size_t put_some(std::span<std::byte> space, Input& from) {
  if (space.empty()) std::abort();
  const std::size_t most = std::size_t{from.raw<std::uint8_t>()} + 1;
  const auto bytes = from.take(std::min(space.size(), most));
  if (!bytes.empty()) std::memcpy(space.data(), bytes.data(), bytes.size());
  return bytes.size();
}

void run_server(Input& from) {
  const AuthKey key("key");
  ServerHandshake server(fixed(server_greeting()));
  while (!from.empty()) {
    const std::size_t n = put_some(server.space(), from);
    if (n == 0) return;
    if (server.arrived(n) == ServerHandshake::Next::answer) {
      static_cast<void>(server.answer(key, server.proven(key), 3));
      return;
    }
  }
}

void run_client(Input& from) {
  const AuthKey key("key");
  ClientHandshake client(fixed(client_greeting()));
  static_cast<void>(client.take(from.raw<Greeting>(), key));
  static_cast<void>(client.take(from.raw<Answer>(), key));
}

void run_frames(Input& from) {
  FrameReader reader;
  std::size_t arrived = 0;
  while (!from.empty() && reader.state() != FrameReader::State::malformed) {
    const auto space = reader.space();
    if (space.size() > std::max<std::size_t>(std::size_t{64} << 10, 4 * arrived)) std::abort();
    const std::size_t n = put_some(space, from);
    reader.arrived(n);
    arrived += n;
    while (reader.state() == FrameReader::State::whole) {
      const Frame frame = reader.frame();
      if (frame.bytes.size() + sizeof(FrameHeader) > reader.rest().size()) std::abort();
      reader.pop();
    }
  }
}

void run_connection(Input& from) {
  int ends[2];
  os::check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
            "socketpair");
  std::optional<detail::Fd> peer(std::in_place, ends[1]);
  Connection<int, Message> connection(
      std::make_shared<SocketChannel>(detail::Fd(ends[0]), "fuzz", fork_count()));
  static_cast<void>(connection.fd());
  while (!from.empty()) {
    switch (const auto op = from.raw<std::uint8_t>(); op % 4) {
      case 0:
        peer.reset();
        break;
      case 1:
        try {
          static_cast<void>(connection.try_recv());
        } catch (const DecodeError&) {
        } catch (const EndOfFile&) {
          return;
        }
        break;
      case 2:
        static_cast<void>(connection.poll());
        break;
      default:
        if (peer) {
          std::size_t sent = 0;
          static_cast<void>(os::send_some(peer->get(), from.take(op), {}, sent));
        }
    }
  }
}

void run(std::span<const std::byte> input) {
  Input from(input);
  try {
    switch (from.raw<std::uint8_t>() % 4) {
      case 0:
        return run_server(from);
      case 1:
        return run_client(from);
      case 2:
        return run_frames(from);
      default:
        return run_connection(from);
    }
  } catch (const DecodeError&) {
  } catch (const AuthenticationError&) {
  }
}

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

std::vector<std::string> seeds() {
  const AuthKey key("key");
  ServerHandshake server(fixed(server_greeting()));
  ClientHandshake client(fixed(client_greeting()));
  const auto feed = [&](std::span<const std::byte> bytes) {
    std::memcpy(server.space().data(), bytes.data(), bytes.size());
    static_cast<void>(server.arrived(bytes.size()));
  };
  feed(bytes_of(client.greeting()));
  const Proof proof = client.take(server.greeting(), key);
  feed(proof);
  std::vector<std::string> all;
  all.push_back(
      Seed().text(std::string("\0\x2f", 2)).raw(client.greeting()).text("\x1f").raw(proof).done());
  all.push_back(Seed().text("\1").raw(server.greeting()).raw(server.answer(key, true, 9)).done());
  all.push_back(Seed().text("\1").raw(server.greeting()).raw(server.answer(key, false, 0)).done());
  Seed frames;
  frames.text("\2");
  for (const char size : {'\0', '\5', '\xc8'}) {
    const auto n = static_cast<unsigned char>(size);
    frames.text("\x0f").raw(FrameHeader{n, 7, kWiped});
    frames.raw(static_cast<std::uint8_t>(n - 1)).text(std::string(n, 'x'));
  }
  all.push_back(frames.done());
  all.push_back(Seed().text("\2\x0f").raw(FrameHeader{1ULL << 60, 7, kWiped}).done());
  // One message of two entries, whole and in pieces, between receives.
  detail::OutgoingValue<Message> value({{"a", {1, 2}}, {"b", {}}}, detail::Route::socket);
  const auto& message = value.message();
  std::string stream(sizeof(FrameHeader), '\0');
  const FrameHeader header{message.bytes.size(), message.type, kWiped};
  std::memcpy(stream.data(), &header, sizeof header);
  stream.append(reinterpret_cast<const char*>(message.bytes.data()), message.bytes.size());
  std::string whole = "\3", pieces = "\3";
  for (std::size_t at = 0; at < stream.size(); at += 7) {
    std::string piece = stream.substr(at, 7);
    piece.resize(7);
    pieces += '\7' + piece + '\1';
  }
  whole += static_cast<char>((stream.size() + 3) / 4 * 4 + 3);
  whole += stream + std::string((stream.size() + 3) / 4 * 4 + 3 - stream.size(), '\0');
  all.push_back(whole + "\2\1\1");
  all.push_back(pieces + std::string("\0\1\1", 3));
  return all;
}

}  // namespace

const Target kWire{"wire", run, seeds};

}  // namespace tandem::fuzz
