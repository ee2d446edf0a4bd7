package io.github.textpoke.x86.decode;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.textpoke.PatchException.UnsupportedPlatformException;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ZydisLibraryTest {
  @AfterEach
  void forgetThePath() {
    System.clearProperty(ZydisLibrary.PATH_PROPERTY);
  }

  @Test
  void refusesAPathWithoutALibraryAndNamesIt(@TempDir Path directory) {
    Path missing = directory.resolve("libZydis.so.4.0");
    System.setProperty(ZydisLibrary.PATH_PROPERTY, missing.toString());
    assertThatThrownBy(ZydisLibrary::load)
        .isInstanceOf(UnsupportedPlatformException.class)
        .hasMessageContaining(missing.toString())
        .hasMessageContaining("-Dtextpoke.zydis");
  }

  @Test
  void refusesAFileThatIsNoLibrary(@TempDir Path directory) throws Exception {
    Path text = Files.writeString(directory.resolve("libZydis.so.4.0"), "no library");
    System.setProperty(ZydisLibrary.PATH_PROPERTY, text.toString());
    assertThatThrownBy(ZydisLibrary::load)
        .isInstanceOf(UnsupportedPlatformException.class)
        .hasMessageContaining(text.toString());
  }

  @Test
  void refusesALibraryThatIsNotZydis() {
    // a library that every Linux has, without a function of Zydis
    System.setProperty(ZydisLibrary.PATH_PROPERTY, "libm.so.6");
    assertThatThrownBy(ZydisLibrary::load)
        .isInstanceOf(UnsupportedPlatformException.class)
        .hasMessageContaining("libm.so.6 (");
  }

  @Test
  @RequiresZydis
  void takesTheLibraryThatThePropertyNames() {
    String path = ZydisLibrary.load().path();
    System.setProperty(ZydisLibrary.PATH_PROPERTY, path);
    assertThat(ZydisLibrary.load().path()).isEqualTo(path);
  }

  @Test
  @RequiresZydis
  void findsTheLibraryByItsNameAlone() {
    ZydisLibrary.Bound byPath = ZydisLibrary.load();
    String name = Path.of(byPath.path()).getFileName().toString();
    System.setProperty(ZydisLibrary.PATH_PROPERTY, name);
    assertThat(ZydisLibrary.load().version()).isEqualTo(byPath.version());
  }

  @ParameterizedTest
  @CsvSource({
    "3.2,3000200000000,false",
    "4.0,4000000000000,true",
    "4.0.1,4000000010000,true",
    "4.1,4000100010000,true",
    "4.2,4000200000000,false",
    "5.0,5000000000000,false",
    "0,0,false"
  })
  void takesVersions40And41Alone(String version, String number, boolean supported) {
    assertThat(ZydisLibrary.isSupported(Long.parseLong(number, 16)))
        .as(version)
        .isEqualTo(supported);
  }

  /** With six, JNR-FFI passes the sixth wrongly: jnr-ffi issue 181. */
  @Test
  void hasNoNativeMethodWithSixParameters() {
    assertThat(Arrays.stream(ZydisLibrary.Zydis.class.getMethods()).map(Method::getParameterCount))
        .isNotEmpty()
        .allMatch(count -> count < 6);
  }
}
