// The handshake and the frames as bytes, without a socket.
#include "transport/handshake.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "support/random.hpp"
#include "tandem/error.hpp"
#include "transport/frame.hpp"

namespace tandem::transport {
namespace {

using Next = ServerHandshake::Next;
using Bytes = std::vector<std::byte>;

template <class T>
Bytes bytes_of(const T& value) {
  Bytes bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

/// Feeds all of it, as many at a time. \returns what the last of them made
Next feed(ServerHandshake& server, const Bytes& bytes, std::size_t at_a_time) {
  Next next = Next::receive;
  for (std::size_t done = 0; done < bytes.size();) {
    const auto space = server.space();
    const std::size_t n = std::min({at_a_time, space.size(), bytes.size() - done});
    std::memcpy(space.data(), bytes.data() + done, n);
    done += n;
    next = server.arrived(n);
    if (next == Next::greet && done != bytes.size()) ADD_FAILURE() << "greeted too early";
  }
  return next;
}

TEST(HandshakeTest, BothKnowTheKey) {
  for (const std::size_t at_a_time : {1u, 7u, 100u}) {
    const AuthKey key("key");
    ServerHandshake server(server_greeting());
    ClientHandshake client(client_greeting());
    ASSERT_EQ(feed(server, bytes_of(client.greeting()), at_a_time), Next::greet);
    ASSERT_EQ(feed(server, bytes_of(client.take(server.greeting(), key)), at_a_time), Next::answer);
    ASSERT_TRUE(server.proven(key));
    EXPECT_FALSE(server.proven(AuthKey("other")));
    EXPECT_FALSE(server.proven(AuthKey()));
    EXPECT_EQ(client.take(server.answer(key, true, 17), key), 17u);
  }
}

TEST(HandshakeTest, TheServerMustKnowTheKeyToo) {
  const AuthKey key("key");
  ServerHandshake server(server_greeting());
  ClientHandshake client(client_greeting());
  feed(server, bytes_of(client.greeting()), 100);
  feed(server, bytes_of(client.take(server.greeting(), key)), 100);
  EXPECT_THROW(static_cast<void>(client.take(server.answer(AuthKey("other"), true, 0), key)),
               AuthenticationError);
  EXPECT_THROW(static_cast<void>(client.take(server.answer(key, false, 0), key)),
               AuthenticationError);
  Answer answer = server.answer(key, true, 0);
  answer.size = 1;  // is covered by the proof
  EXPECT_THROW(static_cast<void>(client.take(answer, key)), AuthenticationError);
  answer.size = 1u << 30;
  EXPECT_THROW(static_cast<void>(client.take(answer, key)), DecodeError);
}

TEST(HandshakeTest, AProofCannotBeReflected) {
  // A liar without the key has a listener prove to him as if he were a client, and hands it on; or
  // sends a client's own proof back.
  const AuthKey key("key");
  ServerHandshake server(server_greeting());
  ClientHandshake client(client_greeting());
  feed(server, bytes_of(client.greeting()), 100);
  const Proof proof = client.take(server.greeting(), key);
  EXPECT_THROW(static_cast<void>(client.take(Answer{Verdict::admitted, 0, proof}, key)),
               AuthenticationError);
  // Whoever greets a client with its own greeting is not a server.
  EXPECT_THROW(static_cast<void>(client.take(client.greeting(), key)), DecodeError);
}

TEST(HandshakeTest, AProofIsGoodForOneHandshake) {
  const AuthKey key("key");
  ServerHandshake first(server_greeting());
  ClientHandshake client(client_greeting());
  const Proof proof = client.take(first.greeting(), key);
  ServerHandshake second(server_greeting());
  feed(second, bytes_of(client.greeting()), 100);
  feed(second, bytes_of(proof), 100);
  EXPECT_FALSE(second.proven(key));
}

TEST(HandshakeTest, WhoIsNoClientIsSeenByTheFirstByte) {
  ServerHandshake server(server_greeting());
  EXPECT_THROW(feed(server, Bytes(1, std::byte{'G'}), 1), DecodeError);
  Greeting greeting = client_greeting();
  greeting.version = 99;
  ServerHandshake newer(server_greeting());
  EXPECT_THROW(feed(newer, bytes_of(greeting), 100), DecodeError);
  greeting = client_greeting();
  greeting.byte_order = 0x04030201;
  ServerHandshake other(server_greeting());
  EXPECT_THROW(feed(other, bytes_of(greeting), 100), DecodeError);
}

Bytes frame_of(const std::string& text, std::uint32_t type = 7) {
  Bytes bytes = bytes_of(FrameHeader{text.size(), type, kWiped});
  const auto* const data = reinterpret_cast<const std::byte*>(text.data());
  bytes.insert(bytes.end(), data, data + text.size());
  return bytes;
}

std::string text_of(const Frame& frame) {
  return {reinterpret_cast<const char*>(frame.bytes.data()), frame.bytes.size()};
}

void feed(FrameReader& reader, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto space = reader.space();
    ASSERT_FALSE(space.empty());
    const std::size_t n = std::min(space.size(), bytes.size());
    std::memcpy(space.data(), bytes.data(), n);
    reader.arrived(n);
    bytes = bytes.subspan(n);
  }
}

TEST(FrameTest, AnyCutGivesTheSameFrames) {
  std::mt19937_64 random(test::seed());
  std::vector<std::string> texts;
  Bytes stream;
  for (std::size_t i = 0; i < 200; ++i) {
    texts.emplace_back(i % 20 == 0 ? random() % 100'000 : random() % 50, char('a' + i % 26));
    const Bytes frame = frame_of(texts.back(), static_cast<std::uint32_t>(i));
    stream.insert(stream.end(), frame.begin(), frame.end());
  }
  FrameReader reader;
  std::size_t seen = 0;
  for (std::size_t at = 0; at < stream.size();) {
    const std::size_t n = std::min<std::size_t>(1 + random() % 5000, stream.size() - at);
    feed(reader, std::span(stream).subspan(at, n));
    at += n;
    for (; reader.state() == FrameReader::State::whole && random() % 8 != 0; reader.pop(), ++seen) {
      ASSERT_EQ(reader.frame().type, seen);
      ASSERT_EQ(text_of(reader.frame()), texts[seen]);
    }
  }
  for (; reader.state() == FrameReader::State::whole; reader.pop(), ++seen) {
    ASSERT_EQ(text_of(reader.frame()), texts[seen]);
  }
  EXPECT_EQ(seen, texts.size());
  EXPECT_TRUE(reader.rest().empty());
}

TEST(FrameTest, ASizeIsBelievedAsItComes) {
  FrameReader reader;
  feed(reader, bytes_of(FrameHeader{std::uint64_t{1} << 30, 7, kWiped}));
  EXPECT_EQ(reader.state(), FrameReader::State::more);
  std::size_t arrived = sizeof(FrameHeader);
  const Bytes piece(1000);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_LE(reader.space().size(), std::max<std::size_t>(64 << 10, 3 * arrived));
    feed(reader, piece);
    arrived += piece.size();
  }
  EXPECT_EQ(reader.state(), FrameReader::State::more);
}

TEST(FrameTest, WhatIsNoFrameIsMalformed) {
  for (const std::uint64_t size : {~std::uint64_t{0}, std::uint64_t{1} << 60}) {
    FrameReader reader;
    feed(reader, bytes_of(FrameHeader{size, 7, kWiped}));
    EXPECT_EQ(reader.state(), FrameReader::State::malformed);
  }
  FrameReader reader;
  feed(reader, frame_of("good"));
  feed(reader, bytes_of(FrameHeader{1, 7, 0}));
  ASSERT_EQ(reader.state(), FrameReader::State::whole);
  reader.pop();
  EXPECT_EQ(reader.state(), FrameReader::State::malformed);
}

}  // namespace
}  // namespace tandem::transport
