package io.github.textpoke.x86;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Which package may know which. */
final class X86LayersTest {
  private static final String CORE = "io.github.textpoke";
  private static final String ROOT = CORE + ".x86";

  /** Each package knows only those before it. The first six are pure: they know no process. */
  private static final List<String> ORDER =
      List.of(
          ROOT + ".decode",
          ROOT + ".flow",
          ROOT + ".encode",
          ROOT + ".relocate",
          ROOT + ".plan",
          ROOT + ".link",
          ROOT + ".target",
          ROOT + ".detour",
          ROOT + ".livepatch",
          ROOT + ".follow",
          ROOT + ".probe");

  private static final int PURE = 6;

  private static final JavaClasses X86 =
      new ClassFileImporter()
          .withImportOption(new ImportOption.DoNotIncludeTests())
          .importPackages(ROOT);

  @Test
  void everyPackageHasItsPlaceInTheOrder() {
    assertThat(X86.stream().map(JavaClass::getPackageName).collect(Collectors.toSet()))
        .containsExactlyInAnyOrderElementsOf(ORDER);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
  void aPackageKnowsNoneThatComesLater(int index) {
    String[] later = ORDER.subList(index + 1, ORDER.size()).toArray(String[]::new);
    noClasses()
        .that()
        .resideInAPackage(ORDER.get(index))
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(later)
        .check(X86);
  }

  @Test
  void packagesFormNoCycle() {
    slices().matching(ROOT + ".(*)..").should().beFreeOfCycles().check(X86);
  }

  @Test
  void relocationKnowsNoPlan() {
    noClasses()
        .that()
        .resideInAPackage(ROOT + ".relocate")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(CORE + ".plan..", CORE + ".verify..", CORE + ".ledger..")
        .check(X86);
  }

  @Test
  void purePackagesKnowNoProcess() {
    noClasses()
        .that()
        .resideInAnyPackage(ORDER.subList(0, PURE).toArray(String[]::new))
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(CORE + ".linux..", CORE + ".process..", CORE + ".apply..")
        .orShould()
        .dependOnClassesThat()
        .belongToAnyOf(ProcessHandle.class, Process.class, ProcessBuilder.class, Runtime.class)
        .check(X86);
  }
}
