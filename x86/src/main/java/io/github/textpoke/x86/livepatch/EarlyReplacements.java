package io.github.textpoke.x86.livepatch;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableListMultimap;
import com.google.common.collect.ListMultimap;
import com.google.common.collect.MultimapBuilder;
import io.github.textpoke.PatchException.BadLivePatchException;
import io.github.textpoke.PatchException.BadSiteException;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.apply.Launch;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.process.ImageInMemory;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.SiteName;
import io.github.textpoke.process.SiteResolver;
import java.nio.file.Path;

/**
 * Functions of a program that those of a shared object of ours replace before their first call, so
 * that the old ones never run:
 *
 * <pre>{@code
 * Launch launch =
 *     EarlyReplacements.by(Path.of("fix.so"))
 *         .replace("server:parse", "parse_v2")
 *         .in(TargetProcess.launch(List.of("server")));
 * }</pre>
 *
 * <p>Immutable: each method returns another.
 *
 * <ol>
 *   <li>The object is a {@link LivePatch} that is loaded and enabled when the program's own objects
 *       are mapped and relocated, before any constructor; of a program without a loader, at its
 *       entry. Only then is all there that it may be linked to. Nothing of a function runs before,
 *       but where an IFUNC resolver calls it.
 *   <li>It is linked by our own linker, not by the program's loader. None of it can be run before
 *       the program is: an object that has constructors, or an address that only one of its own or
 *       of the program's functions knows (IFUNC), is refused with that reason.
 *   <li>An exception can't be thrown through its functions, for the program's unwinder can't be
 *       told of them; see {@link LivePatches}.
 *   <li>Afterwards it is a live patch as any other: any JVM can list it, disable it and unload it.
 * </ol>
 */
public final class EarlyReplacements {
  private final Path file;

  /** The symbol of the new function, by the old one's site. */
  private final ImmutableListMultimap<String, String> functions;

  /** Whether all sites must be there. */
  private final boolean isStrict;

  private EarlyReplacements(
      Path file, ImmutableListMultimap<String, String> functions, boolean isStrict) {
    this.file = file;
    this.functions = functions;
    this.isStrict = isStrict;
  }

  /** None yet, by functions of that shared object. */
  public static EarlyReplacements by(Path object) {
    return new EarlyReplacements(object, ImmutableListMultimap.of(), true);
  }

  /**
   * Also this one.
   *
   * @param site of the old function: {@code [object:]symbol[#n]}
   * @param symbol of the new one in the shared object, mangled
   */
  public EarlyReplacements replace(String site, String symbol) {
    return new EarlyReplacements(
        file,
        ImmutableListMultimap.<String, String>builder().putAll(functions).put(site, symbol).build(),
        isStrict);
  }

  /** The same, but a site that the program does not have is left out. */
  public EarlyReplacements whereFound() {
    return new EarlyReplacements(file, functions, false);
  }

  /**
   * The launch with these replacements in it. Its start throws what {@link LivePatches#load(String,
   * byte[], LivePatch)} throws, {@link BadSiteException} for a site that is no function's first
   * byte, and {@link io.github.textpoke.PatchException.BadObjectException} where the shared object
   * can't be read.
   */
  public Launch in(Launch launch) {
    return launch.patch(this::replace);
  }

  private void replace(TargetProcess process) {
    if (!isStrict && functions.keySet().stream().noneMatch(site -> isIn(process, site))) {
      return;
    }
    LivePatches patches = LivePatches.in(process);
    patches.load(file.toString(), LivePatches.read(file), description(process)).enable();
  }

  private static boolean isIn(TargetProcess process, String site) {
    try {
      process.address(site);
      return true;
    } catch (NoSuchSymbolException none) {
      return false;
    }
  }

  private LivePatch description(TargetProcess process) {
    SiteResolver resolver = process.resolver();
    ListMultimap<ImageInMemory, PatchedFunction> byObject =
        MultimapBuilder.linkedHashKeys().arrayListValues().build();
    functions.forEach(
        (site, symbol) -> {
          if (!isStrict && !isIn(process, site)) {
            return;
          }
          long address = resolver.resolve(SiteName.parse(site)).address();
          CodeRegion code = resolver.codeAt(address);
          if (code.address() != address) {
            throw new BadSiteException(
                site, "a function is replaced from its first byte on, that of " + code.name());
          }
          ImageInMemory image = resolver.objectAt(address);
          byObject.put(
              image, new PatchedFunction(new PatchedFunction.At(address - image.bias()), symbol));
        });
    return new LivePatch(
        String.valueOf(file.getFileName()),
        "",
        Consistency.IMMEDIATE,
        false,
        byObject.asMap().entrySet().stream()
            .map(each -> object(process, each.getKey(), ImmutableList.copyOf(each.getValue())))
            .collect(ImmutableList.toImmutableList()),
        Callbacks.NONE);
  }

  private PatchedObject object(
      TargetProcess process, ImageInMemory image, ImmutableList<PatchedFunction> of) {
    String name = MemoryMap.read(process.pid()).at(image.start()).map(Mapping::baseName).orElse("");
    boolean isExecutable = name.equals(TargetObject.executable(process.pid()));
    PatchedObject described =
        new PatchedObject(isExecutable ? "" : name, image.image().buildId(), of);
    boolean isFound =
        TargetObject.find(process, described)
            .filter(found -> found.image().start() == image.start())
            .isPresent();
    if (!isFound) {
      throw new BadLivePatchException(
          file.toString(), "of two objects that are called '" + name + "' it is for one", null);
    }
    return described;
  }
}
