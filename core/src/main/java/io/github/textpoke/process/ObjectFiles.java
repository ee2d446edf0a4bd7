package io.github.textpoke.process;

import com.google.common.base.Joiner;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.internal.Uninterruptibly;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Opens files of objects as the target sees them, in whatever mount namespace it lives, and
 * separate debug files as we see them.
 */
final class ObjectFiles {
  private final int pid;
  private final Path debugRoot;

  ObjectFiles(int pid, Path debugRoot) {
    this.pid = pid;
    this.debugRoot = debugRoot;
  }

  /**
   * The file behind {@code mapping}. That it is still the one that is mapped is for the caller to
   * check.
   *
   * @throws BadObjectException if it can't be opened or is no ELF object
   */
  ElfImage open(Mapping mapping) {
    List<String> failures = new ArrayList<>();
    for (Path path : paths(mapping)) {
      try {
        return Uninterruptibly.call(() -> map(mapping, path));
      } catch (IOException e) {
        failures.add(e.toString());
      }
    }
    throw new BadObjectException(
        mapping.path(),
        "can't be opened as process " + pid + " sees it: " + Joiner.on(", ").join(failures));
  }

  private static ElfImage map(Mapping mapping, Path path) throws IOException {
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      return ElfImage.map(mapping.path(), channel);
    }
  }

  private List<Path> paths(Mapping mapping) {
    List<Path> paths = new ArrayList<>();
    // The mapped file itself, even a deleted one; needs CAP_CHECKPOINT_RESTORE.
    paths.add(
        ProcText.path(pid, "map_files")
            .resolve(Long.toHexString(mapping.start()) + "-" + Long.toHexString(mapping.end())));
    if (isExecutable(mapping)) {
      paths.add(ProcText.path(pid, "exe"));
    }
    // Not Path.resolve: the path is absolute.
    paths.add(Path.of(ProcText.path(pid, "root") + mapping.path()));
    return paths;
  }

  /** Whether {@code mapping} is of the program that runs. */
  boolean isExecutable(Mapping mapping) {
    try {
      String target = Files.readSymbolicLink(ProcText.path(pid, "exe")).toString();
      return target.equals(mapping.path()) || target.equals(mapping.path() + " (deleted)");
    } catch (IOException e) {
      // It only saves another way to the same file, and that way is tried too.
      return false;
    }
  }

  /**
   * The separate debug file of the object with that build-id, if it is installed.
   *
   * @throws BadObjectException if it is there but belongs to another object
   */
  Optional<ElfImage> debugFile(String buildId) {
    Path file =
        debugRoot
            .resolve(".build-id")
            .resolve(buildId.substring(0, 2))
            .resolve(buildId.substring(2) + ".debug");
    if (!Files.isReadable(file)) {
      return Optional.empty();
    }
    ElfImage debug = ElfImage.read(file);
    if (!debug.buildId().equals(Optional.of(buildId))) {
      throw new BadObjectException(
          file.toString(),
          "has build-id " + debug.buildId().orElse("none") + ", expected " + buildId);
    }
    return Optional.of(debug);
  }
}
