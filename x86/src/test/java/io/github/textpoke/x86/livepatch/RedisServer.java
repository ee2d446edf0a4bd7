package io.github.textpoke.x86.livepatch;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * A redis-server of the distribution's on a Unix socket, which saves nothing. It is no child of
 * this JVM, whose process reaper would take a tracer's stops from it, and it ends with this JVM
 * however that ends. Not thread-safe.
 */
final class RedisServer implements AutoCloseable {
  /**
   * Ends the server when its own stdin ends, or has a line. Whoever becomes the server says its
   * number, so that this comes before all that the server says.
   */
  private static final String KEEPER =
      "sh -c 'echo $$; exec \"$@\"' sh \"$@\" & server=$!;"
          + " read -r line; kill -KILL $server; wait $server";

  private static final String READY = "ready to accept connections";
  private static final String LINK = "redis-server";
  private static final int END_SECONDS = 30;

  private final Process keeper;
  private final int pid;
  private final Path socket;
  private final List<String> lines;
  private final Thread reader;

  private RedisServer(Process keeper, int pid, Path socket, List<String> lines, Thread reader) {
    this.keeper = keeper;
    this.lines = lines;
    this.pid = pid;
    this.socket = socket;
    this.reader = reader;
  }

  /**
   * Starts one and waits until it answers.
   *
   * @param directory an empty one
   */
  static RedisServer start(Path directory) {
    Path socket = directory.resolve("socket");
    List<String> command = new ArrayList<>(List.of("sh", "-c", KEEPER, "sh"));
    command.add(program(directory).toString());
    command.addAll(List.of("--port", "0", "--unixsocket", socket.toString()));
    command.addAll(List.of("--save", "", "--appendonly", "no", "--dir", directory.toString()));
    try {
      Process keeper = new ProcessBuilder(command).redirectErrorStream(true).start();
      BufferedReader output = keeper.inputReader(StandardCharsets.UTF_8);
      int pid = Integer.parseInt(output.readLine());
      List<String> lines = Collections.synchronizedList(new ArrayList<>());
      for (String line = output.readLine(); ; line = output.readLine()) {
        assertThat(line).as("redis-server has ended before it was ready: %s", lines).isNotNull();
        lines.add(line);
        if (line.contains(READY)) {
          break;
        }
      }
      return new RedisServer(keeper, pid, socket, lines, drain(output, lines));
    } catch (IOException e) {
      throw new UncheckedIOException("starting redis-server", e);
    }
  }

  /**
   * Debian and Ubuntu have one file under several names, and it goes by its name. {@code
   * redis-check-rdb} comes without a service that is started.
   */
  private static Path program(Path directory) {
    Path file =
        Stream.of("/usr/bin/redis-server", "/usr/bin/redis-check-rdb")
            .map(Path::of)
            .filter(Files::isExecutable)
            .findFirst()
            .orElseThrow(
                () ->
                    new AssertionError("no redis-server; install it: apt-get install redis-tools"));
    try {
      return Files.createSymbolicLink(directory.resolve(LINK), file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** A full pipe would hold the server. */
  private static Thread drain(BufferedReader output, List<String> lines) {
    Thread reader =
        new Thread(
            () -> {
              try (BufferedReader closing = output) {
                for (String line = closing.readLine(); line != null; line = closing.readLine()) {
                  lines.add(line);
                }
              } catch (IOException e) {
                throw new UncheckedIOException(e);
              }
            },
            "output of redis-server");
    reader.setDaemon(true);
    reader.start();
    return reader;
  }

  int pid() {
    return pid;
  }

  Path socket() {
    return socket;
  }

  /** That it runs: it says more when it has crashed. */
  void assertAlive() {
    assertThat(Path.of("/proc", Integer.toString(pid), "exe"))
        .as("the server; its output: %s", String.join("\n", List.copyOf(lines)))
        .exists();
  }

  @Override
  public void close() {
    try {
      keeper.getOutputStream().close();
      assertThat(keeper.waitFor(END_SECONDS, TimeUnit.SECONDS)).isTrue();
      reader.join();
      Files.delete(socket.resolveSibling(LINK));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError("interrupted", e);
    }
  }
}
