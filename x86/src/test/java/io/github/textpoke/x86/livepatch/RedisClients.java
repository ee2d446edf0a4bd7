package io.github.textpoke.x86.livepatch;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.EOFException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Connections to a redis-server, each with a thread that sends one command after the other and
 * checks each answer: PING, and between SET, GET and INCR of a key of its own. Thread-safe.
 */
final class RedisClients implements AutoCloseable {
  private static final Duration TIMEOUT = Duration.ofSeconds(60);
  private static final String PONG = "+PONG";
  private static final String PATCHED = "$patched";

  private final LongAdder pongs = new LongAdder();
  private final LongAdder patched = new LongAdder();
  private final AtomicLongArray pings;
  private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
  private final List<SocketChannel> channels = new ArrayList<>();
  private final List<Thread> threads = new ArrayList<>();
  private volatile boolean ending;

  RedisClients(Path socket, int connections) {
    pings = new AtomicLongArray(connections);
    for (int i = 0; i < connections; i++) {
      int index = i;
      try {
        SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        channels.add(channel);
        channel.connect(UnixDomainSocketAddress.of(socket));
        threads.add(new Thread(() -> run(new Connection(channel, index)), "redis client " + i));
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
    threads.forEach(Thread::start);
  }

  private void run(Connection connection) {
    String key = "key" + connection.index;
    try {
      for (long n = 1; !ending; n++) {
        ping(connection);
        ping(connection);
        String value = "value" + n;
        expect("+OK", connection.ask("SET", key, value));
        ping(connection);
        expect("$" + value, connection.ask("GET", key));
        expect(":" + n, connection.ask("INCR", key + "_count"));
      }
    } catch (IOException | RuntimeException | AssertionError e) {
      failure.compareAndSet(null, e);
    }
  }

  private void ping(Connection connection) throws IOException {
    String answer = connection.ask("PING");
    if (answer.equals(PONG)) {
      pongs.increment();
    } else {
      expect(PATCHED, answer);
      patched.increment();
    }
    pings.incrementAndGet(connection.index);
  }

  private static void expect(String expected, String answer) {
    assertThat(answer).isEqualTo(expected);
  }

  /** How often PING was answered as redis does. */
  long pongs() {
    return pongs.sum();
  }

  /** How often PING was answered by the replacement. */
  long patched() {
    return patched.sum();
  }

  /** Waits until each connection has an answer to a PING that was sent from now on. */
  void awaitPings() {
    long[] enough = new long[threads.size()];
    // The next one of each may have been sent before.
    Arrays.setAll(enough, i -> pings.get(i) + 2);
    long deadline = System.nanoTime() + TIMEOUT.toNanos();
    for (int i = 0; i < enough.length; i++) {
      while (pings.get(i) < enough[i]) {
        assertRight();
        assertThat(System.nanoTime() - deadline).as("ns behind the deadline").isNegative();
        LockSupport.parkNanos(100_000);
      }
    }
  }

  /** Every answer was one or the other, and every connection stands. */
  void assertRight() {
    assertThat(failure.get()).as("the first failure of a client").isNull();
    assertThat(threads).allMatch(Thread::isAlive);
  }

  @Override
  public void close() {
    ending = true;
    try {
      for (Thread thread : threads) {
        thread.join(TIMEOUT.toMillis());
        assertThat(thread.isAlive()).isFalse();
      }
      for (SocketChannel channel : channels) {
        channel.close();
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError("interrupted", e);
    }
  }

  /** One connection, in RESP 2 (redis.io/docs/reference/protocol-spec). */
  private static final class Connection {
    private static final String END = "\r\n";
    private static final int SIZE = 4096;

    private final SocketChannel channel;
    private final int index;
    private final ByteBuffer received = ByteBuffer.allocate(SIZE).flip();

    private Connection(SocketChannel channel, int index) {
      this.channel = channel;
      this.index = index;
    }

    /** The answer's first character, and its text. */
    private String ask(String... words) throws IOException {
      StringBuilder request = new StringBuilder("*" + words.length + END);
      for (String word : words) {
        request.append('$').append(word.length()).append(END).append(word).append(END);
      }
      ByteBuffer sent = ByteBuffer.wrap(request.toString().getBytes(StandardCharsets.US_ASCII));
      while (sent.hasRemaining()) {
        channel.write(sent);
      }
      String answer = line();
      if (!answer.startsWith("$")) {
        return answer;
      }
      String text = line();
      assertThat(text).hasSize(Integer.parseInt(answer.substring(1)));
      return "$" + text;
    }

    private String line() throws IOException {
      StringBuilder line = new StringBuilder();
      while (line.length() < END.length() || line.indexOf(END) != line.length() - END.length()) {
        if (!received.hasRemaining()) {
          received.clear();
          if (channel.read(received) < 0) {
            throw new EOFException("the server has closed the connection");
          }
          received.flip();
        }
        line.append((char) received.get());
      }
      return line.substring(0, line.length() - END.length());
    }
  }
}
