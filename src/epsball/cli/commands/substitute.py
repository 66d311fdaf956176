"""`epsball substitute`: fool a model that one can only ask, through a substitute of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from epsball.cli.console import options

if TYPE_CHECKING:
    from epsball.workflows.substitute.run import SubstituteReport


def substitute(
    data: options.Data,
    out: Annotated[Path, typer.Option(help="Directory; the same command continues there.")],
    oracle: Annotated[
        str, typer.Option(help="http(s)://HOST/PATH, or a model of which only labels are used.")
    ],
    queries: Annotated[int, typer.Option(help="Images to learn one substitute with.")],
    questions: Annotated[
        str | None,
        typer.Option(
            help="attacks: on the substitute, whose answers teach which of them fool the oracle; "
            "jacobian: along its gradient, as in the source. [attacks in linf and l2]"
        ),
    ] = None,
    seed_images: Annotated[int, typer.Option(help="The first questions.")] = 150,
    architecture: Annotated[
        list[str] | None, typer.Option(help="Of a substitute; may be repeated. [zoo:base-cnn]")
    ] = None,
    attack: Annotated[
        list[str] | None, typer.Option(help="On the substitute; may be repeated. [fgsm, mifgsm]")
    ] = None,
    norm: options.NormName = "linf",
    eps: Annotated[str | None, typer.Option(help="Radius, 0.1 or 8/255; by the data.")] = None,
    epochs: Annotated[int, typer.Option(help="After each round of questions.")] = 10,
    score: Annotated[int, typer.Option(help="Images that are attacked and scored.")] = 1000,
    direct_images: Annotated[
        int, typer.Option(help="Images that square and hopskipjump share as many queries on.")
    ] = 100,
    request: Annotated[
        str, typer.Option(help='npy8, npy, png, or JSON such as {"inputs": "$images"}.')
    ] = "npy8",
    response: Annotated[
        str, typer.Option(help="Path to the labels: predictions.*.label.")
    ] = "labels",
    names: Annotated[
        bool, typer.Option("--names", help="The oracle answers with names of the data's classes.")
    ] = False,
    header: Annotated[
        list[str] | None, typer.Option(help="'Authorization: ...'; may be repeated.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Images a request.")] = 64,
    concurrency: Annotated[int, typer.Option(help="Requests at once.")] = 2,
    rate: Annotated[float | None, typer.Option(help="Images a second at most.")] = None,
    timeout: Annotated[float, typer.Option(help="Of a request, in seconds.")] = 30.0,
    attempts: Annotated[int, typer.Option(help="Of a request.")] = 8,
    cap: Annotated[
        int | None, typer.Option(help="Images that may be paid in all, scoring included.")
    ] = None,
    cache: Annotated[Path | None, typer.Option(help="Of answers; OUT/oracle.db.")] = None,
    i_own_this: Annotated[
        bool,
        typer.Option("--i-own-this", help="I own the server, or am allowed to attack it."),
    ] = False,
    weights: options.Weights = None,
    seed: options.Seed = 0,
) -> None:
    """Learn a substitute from labels alone, attack it, and show the result to the oracle.

    Beside it square and hopskipjump attack the oracle directly with as many queries.

    Example: epsball substitute --oracle http://127.0.0.1:8000/classify --data mnist --queries 800
    --out runs/substitute
    """
    from epsball.cli.console.bars import Bars
    from epsball.data import load_data
    from epsball.oracles import HttpOracle, HttpSettings
    from epsball.oracles.protocol import Oracle
    from epsball.workflows.substitute.learning import SubstituteSettings
    from epsball.workflows.substitute.opening import headers_of, local_oracle
    from epsball.workflows.substitute.run import substitute as run

    images = load_data(data, split="test")
    settings = SubstituteSettings(
        queries=queries,
        questions=questions or ("attacks" if norm in {"linf", "l2"} else "jacobian"),  # type: ignore[arg-type]  # checked there
        epochs=epochs,
        seed=seed,
    )
    answers: Oracle
    if oracle.startswith(("http://", "https://")):
        http = HttpSettings(
            oracle,
            len(images.class_names),
            request=request,
            response=response,
            names=images.class_names if names else (),
            headers=headers_of(header or []),
            batch_size=batch_size,
            concurrency=concurrency,
            rate=rate,
            timeout=timeout,
            attempts=attempts,
            queries=cap,
            owned=i_own_this,
        )
        answers = HttpOracle(http, cache or out / "oracle.db")
    else:
        answers, images = local_oracle(oracle, images, weights)
    with Bars() as bars:
        report = run(
            answers,
            images,
            out=out,
            settings=settings,
            seed_images=seed_images,
            architectures=architecture or ("zoo:base-cnn",),
            attacks=attack or ("fgsm", "mifgsm"),
            norm=norm,
            eps=eps,
            score=score,
            direct_images=direct_images,
            progress=bars,
        )
    show(report)


def show(report: "SubstituteReport") -> None:
    """Print what came out."""
    from epsball.cli.console.show import say, show_table
    from epsball.evaluation.metrics.present import eps_text, percent

    results = [
        (f"{one.attack} on {result.architecture}", one)
        for result in report.results
        for one in result.fooled
    ]
    results += [(f"{one.attack} on the oracle", one) for one in report.direct]
    show_table(
        ["attack", "eps", "all images misclassified", "of those right when clean", "images"],
        [
            [
                name,
                eps_text(one.eps),
                percent(one.misclassified),
                "-" if one.success is None else percent(one.success),
                str(one.n),
            ]
            for name, one in results
        ],
    )
    ledger = report.ledger
    say(
        f"{ledger.paid:,} images paid in all, {report.scoring:,} of them for scoring; "
        f"{ledger.cached:,} answered from the cache, {ledger.resent:,} sent again"
    )
    say(f"clean accuracy of the oracle {percent(report.clean_accuracy)}; summary: {report.path}")
